package recordprocessor;

import java.util.Set;
import software.amazon.awssdk.services.dynamodb.model.Record;

final class FilterCriteria {
    private final String json;

    FilterCriteria(String json) {
        this.json = json;
    }

    static FilterCriteria parse(String json) {
        return new FilterCriteria(json);
    }

    boolean matches(Record event, String streamArn) {
        return json.contains("\"" + event.dynamodb().sequenceNumber() + "\"");
    }

    Set<String> sections() {
        return Set.of();
    }
}
