package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class LambdaEventTest {
    private static final int ROUNDS = 5_000;
    /** With dots in them and named like types, so that one path can be read in several ways. */
    private static final List<String> NAMES =
            List.of("a", "b", "a.b", "a.M", "a.M.b", "M", "S", "L", "S.L", ".", "a.", ".a", "a..b", "ż🐢");

    private final long seed = new Random().nextLong();
    private final Random random = new Random(seed);

    @Test
    void everythingIsWhereLambdaHasIt() throws IOException {
        JsonNode event =
                FilterVectors.read("filter_criteria.json").path("events").path("order");
        assertEquals(flat(event), taken(event, flat(event).keySet()));
        assertEquals(
                List.of("\"A1\" [0]", "\"B2\" [1]"),
                taken(event, List.of("dynamodb.NewImage.lines.L.M.sku.S")).get("dynamodb.NewImage.lines.L.M.sku.S"));
    }

    @Test
    void theTimeIsInSeconds() throws IOException {
        for (String seconds : List.of("1678831218", "1678831218.5", "1678831218.123", "0.001")) {
            JsonNode event = FilterVectors.JSON.readTree("{'dynamodb':{'ApproximateCreationDateTime':%s}}"
                    .formatted(seconds)
                    .replace('\'', '"'));
            String name = "dynamodb.ApproximateCreationDateTime";
            assertEquals(Map.of(name, List.of(seconds + " []")), taken(event, List.of(name)));
        }
    }

    @Test
    void whatIsAskedForIsThereWhateverElseIs() throws IOException {
        int found = 0;
        for (int round = 0; round < ROUNDS; round++) {
            ObjectNode event = event();
            Map<String, List<String>> expected = flat(event);
            expected.keySet().removeIf(name -> random.nextBoolean());
            List<String> names = new ArrayList<>(expected.keySet());
            names.add("dynamodb.NewImage." + pick(NAMES) + ".nowhere");
            assertEquals(expected, taken(event, names), "seed " + seed + ", " + names + " of " + event);
            found += expected.size();
        }
        assertTrue(found > ROUNDS, "only " + found + " values");
    }

    private static Map<String, List<String>> taken(JsonNode event, Collection<String> names) throws IOException {
        LambdaEvent lambdaEvent = new LambdaEvent(
                FilterVectors.event(event), FilterVectors.streamArn(event), new LambdaEvent.Places(names));
        Map<String, List<String>> taken = new TreeMap<>();
        for (String name : names) {
            List<String> values = lambdaEvent.values(name).stream()
                    .map(value -> value.text() + " "
                            + value.within().stream()
                                    .map(LambdaEvent.Element::index)
                                    .toList())
                    .sorted()
                    .toList();
            if (!values.isEmpty()) {
                taken.put(name, values);
            }
        }
        return taken;
    }

    /** All of the event's values and the indexes on the way to them. */
    private static Map<String, List<String>> flat(JsonNode event) {
        Map<String, List<String>> values = new TreeMap<>();
        flatten("", event, List.of(), values);
        values.values().forEach(texts -> texts.sort(null));
        return values;
    }

    private static void flatten(String name, JsonNode node, List<Integer> within, Map<String, List<String>> values) {
        if (node.isObject()) {
            node.properties()
                    .forEach(each -> flatten(
                            name.isEmpty() ? each.getKey() : name + "." + each.getKey(),
                            each.getValue(),
                            within,
                            values));
        } else if (node.isArray()) {
            for (int i = 0; i < node.size(); i++) {
                List<Integer> deeper = new ArrayList<>(within);
                if (node.get(i).isContainerNode()) {
                    deeper.add(i);
                }
                flatten(name, node.get(i), deeper, values);
            }
        } else {
            values.computeIfAbsent(name, key -> new ArrayList<>()).add(text(node) + " " + within);
        }
    }

    private static String text(JsonNode value) {
        return value.isTextual() ? '"' + value.asText() + '"' : value.asText();
    }

    private ObjectNode event() {
        ObjectNode event = FilterVectors.JSON.createObjectNode().put("eventName", "MODIFY");
        ObjectNode stream = event.putObject("dynamodb").put("SizeBytes", 26);
        stream.set("NewImage", attributes(3));
        stream.set("OldImage", attributes(1));
        return event;
    }

    private ObjectNode attributes(int depth) {
        ObjectNode attributes = FilterVectors.JSON.createObjectNode();
        for (int i = random.nextInt(4); i > 0; i--) {
            attributes.set(pick(NAMES), attribute(depth));
        }
        return attributes;
    }

    private ObjectNode attribute(int depth) {
        ObjectNode attribute = FilterVectors.JSON.createObjectNode();
        switch (random.nextInt(depth == 0 ? 5 : 9)) {
            case 0 -> attribute.put("N", "1.50");
            case 1 -> attribute.put("BOOL", random.nextBoolean());
            case 2 -> attribute.put("NULL", true);
            case 3 -> attribute.putArray("SS").add("x").add("y");
            case 4 -> attribute.put("S", "s" + random.nextInt(3));
            case 5, 6 -> attribute.set("M", attributes(depth - 1));
            default -> {
                ArrayNode list = attribute.putArray("L");
                for (int i = random.nextInt(4); i > 0; i--) {
                    list.add(attribute(depth - 1));
                }
            }
        }
        return attribute;
    }

    private <T> T pick(List<T> all) {
        return all.get(random.nextInt(all.size()));
    }
}
