package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class UnacknowledgedTest {
    private static final long RECORD_BYTES = 10;

    private final Budget budget = new Budget(100);

    private Unacknowledged shard() {
        return new Unacknowledged(budget, 60, 1000, 40);
    }

    private static Batch batch(int from, int to) {
        return new Batch(
                IntStream.rangeClosed(from, to)
                        .mapToObj(n -> new Batch.Kept(number(n), Slice.of(new byte[(int) RECORD_BYTES])))
                        .toList(),
                null);
    }

    private static SequenceNumber number(int n) {
        return SequenceNumber.of(Integer.toString(n));
    }

    private static List<Integer> numbers(Batch batch) {
        return batch.records().stream()
                .map(each -> Integer.valueOf(each.number().toString()))
                .toList();
    }

    /** So many messages. */
    private static List<Integer> send(Unacknowledged shard, int messages) {
        List<Integer> sent = new ArrayList<>();
        for (int i = 0; i < messages; i++) {
            sent.addAll(numbers(shard.next(() -> false)));
        }
        return sent;
    }

    @Test
    void aBatchIsOneMessageUnlessItIsTooLargeForOne() {
        Unacknowledged shard = shard();
        shard.add(batch(1, 5));
        assertEquals(List.of(1, 2, 3, 4), numbers(shard.next(() -> false)));
        assertEquals(List.of(5), numbers(shard.next(() -> false)));
        assertEquals(1, batch(1, 1).parts(1).size());
        assertEquals(3, batch(1, 3).parts(1).size());
    }

    @Test
    void shardsTogetherKeepNoMoreThanTheBudgetAndWhoeverAcknowledgesLetsTheOthersOn() {
        Unacknowledged first = shard();
        Unacknowledged second = shard();
        first.add(batch(1, 6));
        second.add(batch(1, 4));
        Thread kcl = inThread(() -> second.add(batch(5, 5)));
        Fakes.await("it waits", () -> kcl.getState() == Thread.State.WAITING);
        send(first, 2);
        first.acknowledge(number(1));
        Fakes.await("it goes on", () -> !kcl.isAlive());
        assertEquals(100, budget.keptBytes());
    }

    @Test
    void aShardThatKeepsNothingIsNeverBlockedByOthers() {
        Unacknowledged first = shard();
        first.add(batch(1, 10));
        Unacknowledged second = shard();
        assertTrue(second.add(batch(1, 3)));
        assertEquals(130, budget.keptBytes());
        first.clear();
        second.clear();
        assertEquals(0, budget.keptBytes());
        assertFalse(second.add(batch(4, 4)));
    }

    @Test
    void whoWaitsForASlowProcessStopsWhenItIsTold() {
        Unacknowledged shard = shard();
        java.util.concurrent.atomic.AtomicBoolean stop = new java.util.concurrent.atomic.AtomicBoolean();
        Thread sender = inThread(() -> assertNull(shard.next(stop::get)));
        Fakes.await("it waits", () -> sender.getState() == Thread.State.WAITING);
        stop.set(true);
        shard.wake();
        Fakes.await("it goes on", () -> !sender.isAlive());
    }

    @Test
    void anInterruptDoesNotLoseTheBatch() {
        Unacknowledged shard = shard();
        shard.add(batch(1, 6));
        Thread kcl = inThread(() -> shard.add(batch(7, 7)));
        Fakes.await("it waits", () -> kcl.getState() == Thread.State.WAITING);
        kcl.interrupt();
        assertEquals(List.of(1, 2, 3, 4, 5, 6), send(shard, 2));
        shard.acknowledge(number(6));
        Fakes.await("it goes on", () -> !kcl.isAlive());
        assertEquals(List.of(7), send(shard, 1));
    }

    @Test
    void whatIsAcknowledgedIsNamedAsTheRecordWas() {
        Unacknowledged shard = shard();
        shard.add(new Batch(
                List.of(
                        new Batch.Kept(SequenceNumber.of("0040"), Slice.of(new byte[1])),
                        new Batch.Kept(SequenceNumber.of("0042"), Slice.of(new byte[1]))),
                null));
        send(shard, 1);
        shard.acknowledge(SequenceNumber.of("41"));
        assertEquals("0040", shard.acknowledged().toString());
        assertEquals("0042", shard.lastSent().toString());
    }

    /** Against the simplest model there is: a list of numbers and two places in it. */
    @Test
    void whateverHappensNothingIsSkippedAndNothingUnsentAcknowledged() {
        long seed = new Random().nextLong();
        Random random = new Random(seed);
        Budget wide = new Budget(Long.MAX_VALUE);
        Unacknowledged shard = new Unacknowledged(wide, Long.MAX_VALUE, Integer.MAX_VALUE, 35);
        int added = 0;
        int sent = 0;
        int acknowledged = 0;
        for (int round = 0; round < 20_000; round++) {
            String where = "seed " + seed + ", round " + round;
            switch (random.nextInt(5)) {
                case 0 -> {
                    int count = 1 + random.nextInt(8);
                    shard.add(batch(added + 1, added + count));
                    added += count;
                }
                case 1, 2 -> {
                    if (sent < added) {
                        List<Integer> next = numbers(shard.next(() -> false));
                        assertEquals(sent + 1, next.get(0), where);
                        assertTrue(next.size() <= 3, where);
                        sent += next.size();
                    }
                }
                case 3 -> {
                    int number = 1 + random.nextInt(added + 3);
                    Unacknowledged.Outcome outcome = shard.acknowledge(number(number));
                    assertEquals(
                            number > acknowledged && number > sent, outcome == Unacknowledged.Outcome.NOT_SENT, where);
                    acknowledged = number <= sent ? Math.max(acknowledged, number) : acknowledged;
                }
                default -> {
                    shard.rewind();
                    sent = acknowledged;
                }
            }
            assertEquals(RECORD_BYTES * (added - acknowledged), wide.keptBytes(), where);
            assertEquals(added == acknowledged, shard.isEmpty(), where);
            assertEquals(acknowledged == 0 ? SequenceNumber.NONE : number(acknowledged), shard.acknowledged(), where);
        }
    }

    private static Thread inThread(Runnable work) {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    @Test
    void whatNeedsNoHandlingCountsAsHandledOnceNothingIsKept() {
        Unacknowledged shard = shard();
        assertTrue(shard.passOver(number(2)));
        assertEquals(number(2), shard.acknowledged());
        shard.add(batch(4, 5));
        assertFalse(shard.passOver(number(7)));
        send(shard, 1);
        shard.acknowledge(number(4));
        assertEquals(number(4), shard.acknowledged());
        shard.rewind();
        assertEquals(number(4), shard.acknowledged());
        send(shard, 1);
        shard.acknowledge(number(5));
        assertEquals(number(7), shard.acknowledged());
        assertEquals(number(5), shard.lastHandled());
        assertFalse(shard.passOver(number(6)), "never back");
    }
}
