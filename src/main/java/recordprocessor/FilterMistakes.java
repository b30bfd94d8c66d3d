package recordprocessor;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * What ruler accepts and what can never do what its author meant: on Lambda such a filter drops records. The shape of a
 * record: "Using event filtering with a DynamoDB event source" in Lambda's developer guide, and Record, StreamRecord and
 * AttributeValue in the API reference of DynamoDB.
 */
final class FilterMistakes {
    /** Somewhere in a record. */
    private interface Place {
        Place step(String path, String name);
    }

    /** It has a value. */
    private record Leaf(String what, Set<String> fits) implements Place {
        @Override
        public Place step(String path, String name) {
            throw new IllegalArgumentException(
                    Text.clean(path) + " is " + what + " in a record, with nothing below it");
        }
    }

    /** It has certain names below it; those below an attribute's value are types. */
    private record Names(Map<String, Place> below, boolean areTypes) implements Place {
        @Override
        public Place step(String path, String name) {
            if (!below.containsKey(name)) {
                throw new IllegalArgumentException(areTypes ? noType(path, name) : noName(path, name));
            }
            return below.get(name);
        }

        private String noName(String path, String name) {
            return (path.isEmpty() ? "a record" : Text.clean(path)) + " has no " + Text.clean(name) + hint(name)
                    + "; it has " + all();
        }

        private String noType(String path, String name) {
            return Text.clean(path) + " has no type " + Text.clean(name) + hint(name) + "; the types are " + all()
                    + (below.containsKey("M") ? ", and what is in a map is below M" : "");
        }

        private String hint(String name) {
            String nearest = null;
            for (String known : below.keySet()) {
                if (nearest == null || distance(name, known) < distance(name, nearest)) {
                    nearest = known;
                }
            }
            return distance(name, nearest) * 3 <= name.length() ? " (did you mean " + nearest + "?)" : "";
        }

        String all() {
            return String.join(", ", below.keySet());
        }
    }

    /** An item or a map: it may have any name below it. */
    private record Item(Names value) implements Place {
        @Override
        public Place step(String path, String name) {
            return value;
        }
    }

    private static final String OR = "$or";
    private static final String STRING = "a string";
    private static final String NUMBER = "a number";
    private static final String IGNORE_CASE = "equals-ignore-case";
    private static final Set<String> EVENT_NAMES = Set.of("INSERT", "MODIFY", "REMOVE");
    private static final Place RECORD = record();

    private FilterMistakes() {}

    /** @throws IllegalArgumentException what to write instead in a pattern that ruler accepts */
    static void check(String pattern) throws IOException {
        try (JsonParser parser = new ObjectMapper().createParser(pattern)) {
            parser.nextToken();
            object(parser, RECORD, "");
        }
    }

    private static Place record() {
        Leaf string = new Leaf(STRING, Set.of(STRING));
        Leaf number = new Leaf(NUMBER, Set.of(NUMBER));
        Map<String, Place> stream = new LinkedHashMap<>();
        stream.put("ApproximateCreationDateTime", number);
        stream.put("Keys", new Item(new Names(keyTypes(string), true)));
        stream.put("NewImage", new Item(attribute(string)));
        stream.put("OldImage", new Item(attribute(string)));
        stream.put("SequenceNumber", string);
        stream.put("SizeBytes", number);
        stream.put("StreamViewType", string);
        Map<String, Place> identity = new LinkedHashMap<>();
        identity.put("type", string);
        identity.put("principalId", string);
        Map<String, Place> record = new LinkedHashMap<>();
        for (String name :
                List.of("eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "eventSourceARN")) {
            record.put(name, string);
        }
        record.put("userIdentity", new Names(identity, false));
        record.put("dynamodb", new Names(stream, false));
        return new Names(record, false);
    }

    private static Map<String, Place> keyTypes(Leaf string) {
        Map<String, Place> types = new LinkedHashMap<>();
        types.put("S", string);
        types.put("N", string);
        types.put("B", string);
        return types;
    }

    private static Names attribute(Leaf string) {
        Map<String, Place> types = keyTypes(string);
        Names attribute = new Names(types, true);
        types.put("BOOL", new Leaf("true or false", Set.of("true", "false")));
        types.put("NULL", new Leaf("true", Set.of("true")));
        types.put("M", new Item(attribute));
        types.put("L", attribute);
        types.put("SS", string);
        types.put("NS", string);
        types.put("BS", string);
        return attribute;
    }

    private static void object(JsonParser parser, Place place, String path) throws IOException {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            JsonToken value = parser.nextToken();
            if (name.equals(OR)) {
                while (parser.nextToken() == JsonToken.START_OBJECT) {
                    object(parser, place, path);
                }
                continue;
            }
            Place below = place.step(path, name);
            String longer = path.isEmpty() ? name : path + "." + name;
            if (value == JsonToken.START_OBJECT) {
                object(parser, below, longer);
            } else {
                list(parser.readValueAsTree(), below, longer);
            }
        }
    }

    private static void list(JsonNode matchers, Place place, String path) {
        if (!(place instanceof Leaf leaf)) {
            throw new IllegalArgumentException(noValue(matchers, place, path));
        }
        for (JsonNode matcher : matchers) {
            checkKind(matcher, leaf, path);
            checkCharacters(matcher, false, path);
            if (path.equals("eventName") && matcher.isTextual() && !EVENT_NAMES.contains(matcher.asText())) {
                throw new IllegalArgumentException(
                        "eventName is INSERT, MODIFY or REMOVE, never " + Text.clean(matcher.asText()));
            }
        }
    }

    private static String noValue(JsonNode matchers, Place place, String path) {
        boolean isExists = false;
        for (JsonNode matcher : matchers) {
            isExists |= matcher.has("exists");
        }
        return (isExists ? "exists works on values only, and there is none at " : "there is no value at ")
                + Text.clean(path) + " itself: " + advice(place, Text.clean(path.substring(path.lastIndexOf('.') + 1)));
    }

    private static String advice(Place place, String last) {
        if (place instanceof Item) {
            return "name an attribute and its type, such as {\"" + last + "\":{\"status\":{\"S\":[…]}}}";
        }
        Names names = (Names) place;
        return names.areTypes()
                ? "name the type, such as {\"" + last + "\":{\"S\":[…]}}"
                : "name one of " + names.all();
    }

    private static void checkKind(JsonNode matcher, Leaf leaf, String path) {
        String kind = kind(matcher);
        if (kind.isEmpty() || leaf.fits().contains(kind)) {
            return;
        }
        String mended = "";
        if (leaf.what().equals(STRING) && kind.equals(NUMBER)) {
            mended = ": list values as strings, or compare in the handler";
        } else if (leaf.what().equals(STRING) && kind.equals("null")) {
            mended = ": an attribute that is NULL has that type, {\"NULL\":[true]}";
        }
        throw new IllegalArgumentException(
                Text.clean(path) + " is " + leaf.what() + " in a record, not to be compared with " + kind + mended);
    }

    /** What a matcher compares with; empty if it takes any value. */
    private static String kind(JsonNode matcher) {
        if (!matcher.isObject()) {
            return kindOfLiteral(matcher);
        }
        String name = matcher.fieldNames().next();
        return switch (name) {
            case "exists" -> "";
            case "numeric" -> NUMBER;
            case "anything-but" -> kindOfExcluded(matcher.get(name));
            default -> STRING;
        };
    }

    private static String kindOfExcluded(JsonNode value) {
        JsonNode inner = value.isObject() ? value.elements().next() : value;
        if (inner.isArray() && inner.isEmpty()) {
            // ruler ends in a NullPointerException, or never matches.
            throw new IllegalArgumentException("Empty arrays are not allowed");
        }
        return kindOfLiteral(inner.isArray() ? inner.get(0) : inner);
    }

    private static String kindOfLiteral(JsonNode value) {
        if (value.isNumber()) {
            return NUMBER;
        }
        return value.isTextual() ? STRING : value.asText();
    }

    private static void checkCharacters(JsonNode matcher, boolean ignoresCase, String path) {
        if (matcher.isTextual()) {
            checkCharacters(matcher.asText(), ignoresCase, path);
        } else {
            boolean ignores = ignoresCase || matcher.has(IGNORE_CASE);
            matcher.forEach(each -> checkCharacters(each, ignores, path));
        }
    }

    private static void checkCharacters(String text, boolean ignoresCase, String path) {
        // EqualsIgnoreCaseParser takes each half of a surrogate pair for a question mark.
        if (ignoresCase && text.codePoints().anyMatch(Character::isSupplementaryCodePoint)) {
            throw new IllegalArgumentException(
                    IGNORE_CASE + " at " + Text.clean(path) + " never matches emoji, or others beyond U+FFFF");
        }
        if (text.codePoints().anyMatch(point -> point <= Character.MAX_VALUE && Character.isSurrogate((char) point))) {
            throw new IllegalArgumentException("half a surrogate pair at " + Text.clean(path) + ": no string has that");
        }
    }

    /** Levenshtein's, whatever the case. */
    private static int distance(String text, String known) {
        String one = text.toLowerCase(Locale.ROOT);
        String other = known.toLowerCase(Locale.ROOT);
        int[] row = new int[other.length() + 1];
        for (int j = 0; j < row.length; j++) {
            row[j] = j;
        }
        for (int i = 1; i <= one.length(); i++) {
            int[] above = row;
            row = new int[above.length];
            row[0] = i;
            for (int j = 1; j < row.length; j++) {
                int replaced = above[j - 1] + (one.charAt(i - 1) == other.charAt(j - 1) ? 0 : 1);
                row[j] = Math.min(replaced, 1 + Math.min(row[j - 1], above[j]));
            }
        }
        return row[other.length()];
    }
}
