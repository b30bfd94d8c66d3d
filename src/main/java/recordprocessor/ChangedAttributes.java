package recordprocessor;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.OperationType;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.dynamodb.model.StreamRecord;

/**
 * Passes each record that changes the value at one of some paths, and every INSERT and REMOVE. The same in Python, held
 * together by tests/vectors: {@code record_processor/filters}.
 */
final class ChangedAttributes {
    private static final String EXPECTED = " attribute's path, such as address.city or lines[0].price";
    /** As in {@code record_processor/paths.py}: a backslash makes dots, brackets and backslashes a part of a name. */
    private static final Pattern STEP =
            Pattern.compile("(\\.?)((?:\\\\[.\\[\\]\\\\]|[^.\\[\\]\\\\])+)|\\[(0|[1-9][0-9]{0,8})\\]");

    private static final Pattern ESCAPED = Pattern.compile("\\\\(.)");

    /** From a value to one inside of it. */
    private interface Step {
        /** Null if there is none. */
        AttributeValue below(AttributeValue value);
    }

    private record Name(String name) implements Step {
        @Override
        public AttributeValue below(AttributeValue value) {
            return value.hasM() ? value.m().get(name) : null;
        }
    }

    private record Index(int index) implements Step {
        @Override
        public AttributeValue below(AttributeValue value) {
            return value.hasL() && index < value.l().size() ? value.l().get(index) : null;
        }
    }

    private final List<List<Step>> paths;

    private ChangedAttributes(List<List<Step>> paths) {
        this.paths = paths;
    }

    /** @throws IllegalArgumentException if one is no path, or if there is none */
    static ChangedAttributes parse(List<String> paths) {
        if (paths.isEmpty()) {
            throw new IllegalArgumentException("at least one" + EXPECTED);
        }
        return new ChangedAttributes(paths.stream().map(ChangedAttributes::path).toList());
    }

    /** A record without both images passes: nobody can tell what it changed. */
    boolean matches(Record event) {
        StreamRecord stream = event.dynamodb();
        if (event.eventName() != OperationType.MODIFY || !stream.hasOldImage() || !stream.hasNewImage()) {
            return true;
        }
        AttributeValue before = AttributeValue.fromM(stream.oldImage());
        AttributeValue after = AttributeValue.fromM(stream.newImage());
        return paths.stream().anyMatch(path -> !isSame(at(before, path), at(after, path)));
    }

    private static List<Step> path(String text) {
        List<Step> path = new ArrayList<>();
        Matcher step = STEP.matcher(text);
        for (int position = 0; position < text.length() || path.isEmpty(); position = step.end()) {
            step.region(position, text.length());
            if (!step.lookingAt() || !mayFollow(step, path)) {
                throw new IllegalArgumentException("an" + EXPECTED);
            }
            path.add(step(step));
        }
        return path;
    }

    /** The first step is a name without a dot, every other name has one. */
    private static boolean mayFollow(Matcher step, List<Step> path) {
        boolean isIndex = step.group(3) != null;
        boolean hasDot = !isIndex && !step.group(1).isEmpty();
        return path.isEmpty() ? !hasDot && !isIndex : hasDot || isIndex;
    }

    private static Step step(Matcher step) {
        return step.group(3) == null
                ? new Name(ESCAPED.matcher(step.group(2)).replaceAll("$1"))
                : new Index(Integer.parseInt(step.group(3)));
    }

    private static AttributeValue at(AttributeValue value, List<Step> path) {
        AttributeValue found = value;
        for (Step step : path) {
            if (found != null) {
                found = step.below(found);
            }
        }
        return found;
    }

    /** Whether two values are the same to DynamoDB; null is no value. */
    private static boolean isSame(AttributeValue one, AttributeValue other) {
        if (one == null || other == null) {
            return one == null && other == null;
        }
        if (one.type() != other.type()) {
            return false;
        }
        return switch (one.type()) {
            case N -> number(one.n()).compareTo(number(other.n())) == 0;
            case NS -> numbers(one.ns()).equals(numbers(other.ns()));
            case SS -> new HashSet<>(one.ss()).equals(new HashSet<>(other.ss()));
            case BS -> new HashSet<>(one.bs()).equals(new HashSet<>(other.bs()));
            case L -> areSame(one.l(), other.l());
            case M -> areSame(one.m(), other.m());
            default -> one.equals(other);
        };
    }

    private static boolean areSame(List<AttributeValue> some, List<AttributeValue> others) {
        for (int i = 0; i < some.size() && i < others.size(); i++) {
            if (!isSame(some.get(i), others.get(i))) {
                return false;
            }
        }
        return some.size() == others.size();
    }

    private static boolean areSame(Map<String, AttributeValue> some, Map<String, AttributeValue> others) {
        return some.keySet().equals(others.keySet())
                && some.keySet().stream().allMatch(name -> isSame(some.get(name), others.get(name)));
    }

    private static Set<BigDecimal> numbers(List<String> texts) {
        return texts.stream().map(ChangedAttributes::number).collect(Collectors.toSet());
    }

    /** Equal if the value is, however it is written. */
    private static BigDecimal number(String text) {
        return new BigDecimal(text).stripTrailingZeros();
    }
}
