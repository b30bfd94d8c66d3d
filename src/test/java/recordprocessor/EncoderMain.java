package recordprocessor;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import software.amazon.awssdk.services.dynamodb.model.Record;

/** Encodes batches for the tests and benchmarks of the Python part, as the daemon does. */
public final class EncoderMain {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Long UP_TO_DATE = 0L;
    private static final LeaseTerms ENDLESS_LEASE = new LeaseTerms(Long.MAX_VALUE, 1);

    private EncoderMain() {}

    /**
     * Reads a batch from each line, an array of records in the JSON of docs/protocol.md. Answers it with a frame, as on a
     * worker's socket, and right behind it a line, as on a stock program's standard input.
     */
    public static void main(String[] arguments) throws IOException {
        JsonWire stock = new JsonWire(true);
        BufferedReader batches = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream output = System.out;
        for (String batch = batches.readLine(); batch != null; batch = batches.readLine()) {
            List<Record> records = records(batch);
            output.write(frame(records));
            output.write(line(stock, records));
            output.flush();
        }
    }

    private static List<Record> records(String batch) throws IOException {
        List<Record> records = new ArrayList<>();
        for (JsonNode each : JSON.readTree(batch)) {
            records.add(WireExamples.event(each));
        }
        return records;
    }

    private static byte[] frame(List<Record> records) {
        return WireExamples.frame(
                new RecordsHeader(UP_TO_DATE, ENDLESS_LEASE),
                records.stream().map(MessagePackRecord::encode).map(Slice::of).toList());
    }

    private static byte[] line(JsonWire stock, List<Record> records) {
        return stock.line(
                new RecordsHeader(UP_TO_DATE, null),
                records.stream().map(stock::encode).map(Slice::of).toList());
    }
}
