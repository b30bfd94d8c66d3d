package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class LifelineTest {
    private final List<String> heard = new ArrayList<>();

    private void hear(String line) {
        Lifeline.hear(line, () -> heard.add("drain"), (worker, reason) -> heard.add(worker + " " + reason));
    }

    @Test
    void onlyWhatTheLauncherMaySayIsHeard() {
        hear("{\"action\": \"drain\"}");
        hear("{\"action\":\"workerEnded\",\"worker\":3,\"reason\":\"it ended with signal 9, \\\"drain\\\"\"}");
        hear("{\"action\": \"other\", \"worker\": \"drain\"}");
        hear("\"drain\"");
        hear("drain");
        hear("");
        assertEquals(List.of("drain", "3 it ended with signal 9, \"drain\""), heard);
    }
}
