package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;

/** Hosts that see each other's rows, on a clock that the tests move. */
class PeersTest {
    private static final long LEASE_MILLIS = 10_000;
    private static final HostRows.Start OTHERS = new HostRows.Start("other", 1);

    private final Map<String, HostRows.HostRow> table = new HashMap<>();
    private final List<String> events = new ArrayList<>();
    private boolean isThere = true;
    private boolean evictFails;
    private long nanos = Duration.ofHours(1).toNanos();
    private int beats;

    private final HostRows rows = new HostRows() {
        @Override
        public boolean putHost(String workerId, Start start, boolean byForce) {
            reach();
            HostRow before = table.get(workerId);
            boolean allowed = byForce || before == null || before.start().equals(start);
            if (allowed) {
                table.put(workerId, new HostRow("beat " + beats++, start));
            }
            return allowed;
        }

        @Override
        public void removeHost(String workerId, Start start) {
            reach();
            table.computeIfPresent(workerId, (id, row) -> row.start().equals(start) ? null : row);
        }

        @Override
        public Map<String, HostRow> hosts() {
            reach();
            return table;
        }
    };

    private final Peers peers = new Peers(
            rows,
            "us",
            LEASE_MILLIS,
            () -> nanos,
            other -> {
                if (evictFails) {
                    throw new CompletionException(new IllegalStateException("throttled"));
                }
                events.add("evict " + other);
                return 1;
            },
            () -> events.add("take"),
            reason -> events.add("namesake"));

    private void reach() {
        if (!isThere) {
            throw new CompletionException(new IllegalStateException("DynamoDB is not there"));
        }
    }

    private void otherBeats() {
        table.put("other", new HostRows.HostRow("beat " + beats++, OTHERS));
    }

    /** We beat every two seconds and look twice a second; the other beats or does not. */
    private void pass(int seconds, boolean otherBeats) {
        for (int half = 0; half < 2 * seconds; half++) {
            nanos += Duration.ofMillis(500).toNanos();
            if (half % 4 == 3) {
                peers.beat(false);
                if (otherBeats) {
                    otherBeats();
                }
            }
            peers.look();
        }
    }

    private long secondsUntilSilent() {
        return Duration.ofNanos(peers.nanosUntilSilent()).toSeconds();
    }

    @Test
    void aHostThatFallsSilentIsEvictedAfterSixSecondsAndOnlyOnce() {
        peers.beat(true);
        otherBeats();
        pass(10, true);
        assertTrue(events.isEmpty());
        pass(5, false);
        assertTrue(events.isEmpty());
        pass(2, false);
        assertEquals(List.of("evict other", "take"), events);
        assertEquals(List.of("us"), List.copyOf(table.keySet()));
        pass(10, false);
        assertEquals(2, events.size());
    }

    @Test
    void oneThatWasNeverHeardToBeatMayHaveALeaseForAsLongAsThatLasts() {
        peers.beat(true);
        otherBeats();
        pass(9, false);
        assertTrue(events.isEmpty());
        pass(2, false);
        assertEquals(List.of("evict other", "take"), events);
    }

    @Test
    void nobodyIsSilentWhileDynamoDbIsNotThereForAnybody() {
        peers.beat(true);
        otherBeats();
        pass(4, true);
        isThere = false;
        pass(60, false);
        isThere = true;
        pass(5, false);
        assertTrue(events.isEmpty(), "the other has had no time to write its row either");
        pass(2, false);
        assertEquals("evict other", events.get(0));
    }

    @Test
    void whatAHostThatLeavesHasGivenBackIsTakenAtOnce() {
        peers.beat(true);
        otherBeats();
        pass(4, true);
        table.remove("other");
        peers.look();
        assertEquals(List.of("take"), events);
        peers.look();
        assertEquals(List.of("take"), events);
    }

    @Test
    void anEvictionThatFailsIsTriedAgain() {
        peers.beat(true);
        otherBeats();
        pass(2, true);
        evictFails = true;
        pass(10, false);
        assertTrue(events.isEmpty());
        assertTrue(table.containsKey("other"));
        evictFails = false;
        peers.look();
        assertEquals(List.of("evict other", "take"), events);
    }

    @Test
    void oneThatCannotWriteItsRowKnowsWhenItIsSilentToTheOthers() {
        peers.beat(true);
        otherBeats();
        peers.look();
        assertEquals(6, secondsUntilSilent());
        isThere = false;
        pass(5, false);
        assertEquals(1, secondsUntilSilent());
        pass(1, false);
        assertTrue(peers.nanosUntilSilent() <= 0);
        isThere = true;
        pass(2, true);
        assertEquals(6, secondsUntilSilent());
    }

    @Test
    void oneThatIsAloneHasAsLongAsALeaseLasts() {
        peers.beat(true);
        peers.look();
        assertEquals(10, secondsUntilSilent());
        isThere = false;
        pass(9, false);
        assertEquals(1, secondsUntilSilent());
    }

    private void another(String name, long startMillis) {
        table.put("us", new HostRows.HostRow("theirs", new HostRows.Start(name, startMillis)));
    }

    private boolean rowIsOurs() {
        String owner = table.get("us").start().id();
        return !owner.equals("older") && !owner.equals("younger");
    }

    @Test
    void ofTwoProcessesWithOneWorkerIdTheYoungerEnds() {
        peers.beat(true);
        for (int beat = 1; beat <= 2; beat++) {
            another("older", 1);
            peers.beat(false);
            assertTrue(events.isEmpty());
            assertTrue(rowIsOurs(), "it may have been the other's last word");
        }
        another("older", 1);
        peers.beat(false);
        assertEquals(List.of("namesake"), events);
        peers.beat(false);
        assertEquals("older", table.get("us").start().id());
    }

    @Test
    void theOlderOneStaysAndSoDoesOneThatIsDisputedNowAndThen() {
        peers.beat(true);
        for (int beat = 1; beat <= 10; beat++) {
            another("younger", Long.MAX_VALUE);
            peers.beat(false);
            assertTrue(rowIsOurs());
        }
        peers.beat(false);
        for (int time = 1; time <= 10; time++) {
            another("older", 1);
            peers.beat(false);
            peers.beat(false);
            assertTrue(rowIsOurs());
        }
        assertTrue(events.isEmpty());
    }

    @Test
    void whoLeavesTakesItsRowAwayAndWritesNoOther() {
        peers.beat(true);
        peers.leave();
        peers.beat(false);
        assertTrue(table.isEmpty());
    }
}
