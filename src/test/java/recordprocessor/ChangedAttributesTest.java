package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ChangedAttributesTest {
    @Test
    void changesAreToldAsTheVectorsSay() throws IOException {
        for (JsonNode vector : FilterVectors.read("changed_attributes.json").path("cases")) {
            String name = vector.path("name").asText();
            JsonNode verdict = vector.path("verdict");
            List<String> paths = new ArrayList<>();
            vector.path("paths").forEach(path -> paths.add(path.asText()));
            if (verdict.isBoolean()) {
                assertEquals(
                        verdict.asBoolean(),
                        ChangedAttributes.parse(paths).matches(FilterVectors.event(vector.path("event"))),
                        name);
            } else {
                String reason = assertThrows(IllegalArgumentException.class, () -> ChangedAttributes.parse(paths), name)
                        .getMessage();
                assertEquals(verdict.path("refused").asText(), reason, name);
            }
        }
    }
}
