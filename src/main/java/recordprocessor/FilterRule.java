package recordprocessor;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import software.amazon.event.ruler.Machine;
import software.amazon.event.ruler.MatchType;
import software.amazon.event.ruler.Patterns;

/**
 * Conditions on a record that must all hold. Whether one value is as a pattern says is ruler's to decide, with a machine
 * for each pattern; which values must come together is decided here, as by ruler's {@code ACFinder}. One machine for whole
 * records would do both, but that of ruler 1.7.3
 *
 * <ul>
 *   <li>queues a step for every two values that may come together: two conditions, one of them on a list of 6000 short
 *       strings, filled a heap of 512 MB;
 *   <li>asks DNS for every value that looks like an IP address and is none, such as 256.1.1.1, if a pattern names one;
 *   <li>forgets branches of {@code $or}: of {@code [{"x":["a"]},{"x":["a","b"]}]} the second one;
 *   <li>mixes up the patterns of a list: {@code [{"wildcard":"*b"},{"equals-ignore-case":"c"}]} matches every string, and
 *       some suffixes and wildcards together end in a ClassCastException.
 * </ul>
 */
final class FilterRule {
    /** What a pattern asks of the values at one place. */
    private record Condition(String name, boolean mayBeAbsent, List<Matcher> matchers) {
        boolean allows(String text) {
            return matchers.stream().anyMatch(matcher -> matcher.matches(text));
        }
    }

    /** @param compares whether it compares numbers or addresses */
    private record Matcher(Machine machine, boolean compares) {
        private static final String FIELD = "value";
        private static final Pattern IPV4 = Pattern.compile(
                "\"PART\\.PART\\.PART\\.PART\"".replace("PART", "0*(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"));
        /** With a colon in it. ruler's own expression takes the square of the length for what is nearly an address. */
        private static final Pattern IPV6 = Pattern.compile("\"[0-9a-fA-F:]*+\"");

        private static final int LONGEST_IPV4 = 17;

        static Matcher of(List<Patterns> patterns) {
            Machine machine = Machine.builder().build();
            try {
                machine.addPatternRule(FIELD, Map.of(FIELD, patterns));
            } catch (ArrayIndexOutOfBoundsException e) {
                // A range of less than a millionth.
                throw new IllegalArgumentException("Bottom must be less than top", e);
            }
            return new Matcher(machine, patterns.get(0).type() == MatchType.NUMERIC_RANGE);
        }

        boolean matches(String text) {
            return (!compares || isNumber(text) || isAddress(text))
                    && !machine.rulesForEvent(List.of(FIELD, text)).isEmpty();
        }

        private static boolean isNumber(String text) {
            return text.charAt(0) != '"';
        }

        /** What Java takes for an address without asking DNS. */
        private static boolean isAddress(String text) {
            return (text.indexOf(':') >= 0 && IPV6.matcher(text).matches())
                    || (text.length() <= LONGEST_IPV4 && IPV4.matcher(text).matches());
        }
    }

    /** Elements of lists below those that they are inside of, to find the consistent ones without looking at all. */
    private static final class Elements {
        private final Map<Integer, Map<Integer, Elements>> lists = new HashMap<>();
        private boolean isPlace;

        void add(List<LambdaEvent.Element> within) {
            Elements place = this;
            for (LambdaEvent.Element element : within) {
                place = place.lists
                        .computeIfAbsent(element.list(), list -> new HashMap<>())
                        .computeIfAbsent(element.index(), index -> new Elements());
            }
            place.isPlace = true;
        }

        /**
         * The places that name no other element of a list than given.
         *
         * @param given of lists, by their numbers, the indexes
         * @return them, together with what is given
         */
        List<Map<Integer, Integer>> consistentWith(Map<Integer, Integer> given) {
            List<Map<Integer, Integer>> found = new ArrayList<>();
            if (isPlace) {
                found.add(given);
            }
            lists.forEach((list, elements) -> {
                if (!given.containsKey(list)) {
                    elements.forEach((index, below) -> found.addAll(below.consistentWith(with(given, list, index))));
                } else if (elements.containsKey(given.get(list))) {
                    found.addAll(elements.get(given.get(list)).consistentWith(given));
                }
            });
            return found;
        }

        private static Map<Integer, Integer> with(Map<Integer, Integer> given, Integer list, Integer index) {
            Map<Integer, Integer> together = new HashMap<>(given);
            together.put(list, index);
            return together;
        }
    }

    private final List<Condition> conditions = new ArrayList<>();

    /** @param patterns by name, as ruler's {@code JsonRuleCompiler} makes them */
    FilterRule(Map<String, List<Patterns>> patterns) {
        // In ruler's order, which tells: whether something is absent depends on the conditions before.
        new TreeMap<>(patterns).forEach((name, alternatives) -> conditions.add(condition(name, alternatives)));
    }

    /** Literals share a machine: there may be many. */
    private static Condition condition(String name, List<Patterns> alternatives) {
        List<Matcher> matchers = new ArrayList<>();
        List<Patterns> literals = new ArrayList<>();
        boolean mayBeAbsent = false;
        for (Patterns pattern : alternatives) {
            switch (pattern.type()) {
                case ABSENT -> mayBeAbsent = true;
                case EXACT -> literals.add(pattern);
                default -> matchers.add(Matcher.of(List.of(pattern)));
            }
        }
        if (!literals.isEmpty()) {
            matchers.add(0, Matcher.of(literals));
        }
        return new Condition(name, mayBeAbsent, List.copyOf(matchers));
    }

    List<String> names() {
        return conditions.stream().map(Condition::name).toList();
    }

    boolean matches(LambdaEvent event) {
        Set<Map<Integer, Integer>> where = Set.of(Map.of());
        for (int i = 0; i < conditions.size() && !where.isEmpty(); i++) {
            where = together(where, conditions.get(i), event, listsAfter(event, i));
        }
        return !where.isEmpty();
    }

    /**
     * In which elements a condition holds together with those before it.
     *
     * @param later the lists that matter from here on
     */
    private static Set<Map<Integer, Integer>> together(
            Set<Map<Integer, Integer>> before, Condition condition, LambdaEvent event, Set<Integer> later) {
        Elements present = new Elements();
        Elements allowed = new Elements();
        for (LambdaEvent.Value value : event.values(condition.name())) {
            present.add(value.within());
            if (condition.allows(value.text())) {
                allowed.add(value.within());
            }
        }
        Set<Map<Integer, Integer>> where = new HashSet<>();
        for (Map<Integer, Integer> elements : before) {
            allowed.consistentWith(elements).forEach(found -> where.add(only(later, found)));
            if (condition.mayBeAbsent() && present.consistentWith(elements).isEmpty()) {
                where.add(only(later, elements));
            }
        }
        return where;
    }

    private Set<Integer> listsAfter(LambdaEvent event, int index) {
        Set<Integer> lists = new HashSet<>();
        for (Condition condition : conditions.subList(index + 1, conditions.size())) {
            for (LambdaEvent.Value value : event.values(condition.name())) {
                value.within().forEach(element -> lists.add(element.list()));
            }
        }
        return lists;
    }

    private static Map<Integer, Integer> only(Set<Integer> lists, Map<Integer, Integer> elements) {
        Map<Integer, Integer> kept = new HashMap<>(elements);
        kept.keySet().retainAll(lists);
        return kept;
    }
}
