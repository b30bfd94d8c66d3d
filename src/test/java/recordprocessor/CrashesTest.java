package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class CrashesTest {
    /** A process had the records from one to another and died with what was acknowledged before the first of them. */
    private record Death(int from, int to) {}

    /**
     * A history, and what the next process is told.
     *
     * @param from the first record that is not acknowledged now
     * @param told oneByOneUpTo and attempts
     */
    private record History(String what, List<Death> deaths, int from, String told) {}

    private static Death had(int from, int to) {
        return new Death(from, to);
    }

    private static Death hadNothing(int from) {
        return new Death(from, 0);
    }

    private static final List<History> HISTORIES = List.of(
            new History("nothing has happened", List.of(), 1, "null 0"),
            new History("one death says nothing", List.of(had(1, 9)), 1, "null 0"),
            new History("two say that it is the records", List.of(had(1, 9), had(1, 9)), 1, "9 0"),
            new History("the second had got on a little", List.of(had(1, 9), had(7, 15)), 7, "15 0"),
            new History("the second had fewer records", List.of(had(1, 9), had(2, 4)), 2, "9 0"),
            new History("the second had got past the first's records", List.of(had(1, 9), had(10, 15)), 10, "null 0"),
            new History("and the third as far as it", List.of(had(1, 9), had(10, 15), had(12, 20)), 12, "20 0"),
            new History("the third dies alone with a record", List.of(had(1, 9), had(1, 9), had(4, 30)), 4, "9 1"),
            new History("and the fourth", List.of(had(1, 9), had(1, 9), had(4, 30), had(4, 30)), 4, "9 2"),
            new History(
                    "the fifth gets past it, and dies of another",
                    List.of(had(1, 9), had(1, 9), had(4, 30), had(4, 30), had(6, 30)),
                    6,
                    "9 1"),
            new History("somebody got past the culprit", List.of(had(1, 9), had(1, 9), had(4, 30)), 5, "9 0"),
            new History("past all that is suspected", List.of(had(1, 9), had(1, 9), had(4, 30)), 10, "null 0"),
            new History("what came behind starts anew", List.of(had(1, 9), had(1, 9), had(10, 30)), 10, "null 0"),
            new History("and needs two deaths", List.of(had(1, 9), had(1, 9), had(10, 30), had(11, 40)), 11, "40 0"),
            new History(
                    "processes that had nothing do not count",
                    List.of(hadNothing(1), hadNothing(1), had(1, 9), hadNothing(1)),
                    1,
                    "null 0"),
            new History(
                    "nor between two that count, nor alone",
                    List.of(had(1, 9), hadNothing(1), had(1, 9), hadNothing(1), had(1, 9), hadNothing(1)),
                    1,
                    "9 1"),
            new History("nothing is left", List.of(had(1, 9), had(1, 9)), 0, "null 0"));

    @Test
    void whatTheNextProcessIsTold() {
        for (History history : HISTORIES) {
            Crashes crashes = new Crashes();
            for (Death death : history.deaths()) {
                crashes.suspicion(number(death.from() - 1), number(death.from()));
                crashes.died(
                        number(death.from() - 1),
                        death.to() == 0 ? SequenceNumber.NONE : number(death.from()),
                        number(death.to()));
            }
            Crashes.Suspicion suspicion = history.from() == 0
                    ? crashes.suspicion(number(100), SequenceNumber.NONE)
                    : crashes.suspicion(number(history.from() - 1), number(history.from()));
            assertEquals(history.told(), suspicion.oneByOneUpTo() + " " + suspicion.attempts(), history.what());
        }
    }

    /** The last record that was acknowledged is not the one before the first that is not: the filter's are between. */
    @Test
    void whatTheFilterKeptIsNoRecordToDieOf() {
        Crashes crashes = new Crashes();
        crashes.died(number(3), number(10), number(30));
        crashes.died(number(10), number(20), number(30));
        assertEquals("30 0", told(crashes, number(10), number(20)));
        crashes.died(number(10), number(20), number(30));
        assertEquals("30 1", told(crashes, number(10), number(20)));
        assertEquals("null 0", told(crashes, number(35), number(40)));
    }

    private static String told(Crashes crashes, SequenceNumber acknowledged, SequenceNumber first) {
        Crashes.Suspicion suspicion = crashes.suspicion(acknowledged, first);
        return suspicion.oneByOneUpTo() + " " + suspicion.attempts();
    }

    private static SequenceNumber number(int n) {
        return SequenceNumber.of(Integer.toString(n));
    }
}
