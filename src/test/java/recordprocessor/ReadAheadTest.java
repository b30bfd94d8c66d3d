package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

class ReadAheadTest {
    private static final ShardName FIRST = new ShardName("arn", "first");
    private static final ShardName SECOND = new ShardName("arn", "second");

    private final ReadAhead readAhead = new ReadAhead(100);

    @Test
    void aShardOfWhichSomethingWaitsIsReadOnWhileThereIsRoomForAll() {
        readAhead.read(FIRST, 60);
        assertTrue(readAhead.hasRoom(FIRST));
        readAhead.read(FIRST, 50);
        assertFalse(readAhead.hasRoom(FIRST));
        readAhead.handedOn(FIRST);
        assertTrue(readAhead.hasRoom(FIRST));
        readAhead.read(FIRST, 50);
        assertFalse(readAhead.hasRoom(FIRST), "the first page that was read is the first that is handed on");
    }

    @Test
    void othersThatAreStuckDoNotStopAShardOfWhichNothingWaits() {
        readAhead.read(FIRST, 1_000);
        assertTrue(readAhead.hasRoom(SECOND));
        readAhead.read(SECOND, 1);
        assertFalse(readAhead.hasRoom(SECOND));
        readAhead.handedOn(SECOND);
        assertTrue(readAhead.hasRoom(SECOND));
    }

    @Test
    void whatKclHasThrownAwayNoLongerWaits() {
        readAhead.read(FIRST, 1_000);
        readAhead.read(SECOND, 1);
        readAhead.forget(FIRST);
        assertTrue(readAhead.hasRoom(SECOND));
        readAhead.handedOn(FIRST);
        readAhead.read(SECOND, 98);
        assertTrue(readAhead.hasRoom(SECOND), "what is handed on after all is not counted twice");
        readAhead.read(SECOND, 1);
        assertFalse(readAhead.hasRoom(SECOND));
    }

    @Test
    void noMoreOfAShardWaitsThanKclCanHold() {
        for (int page = 0; page < 10; page++) {
            readAhead.read(FIRST, 30);
        }
        assertTrue(readAhead.hasRoom(FIRST), "KCL has thrown seven of them away without a word");
    }

    @Test
    void aLargePageWaitsForRoom() {
        readAhead.read(FIRST, 100);
        CompletableFuture<String> page = CompletableFuture.supplyAsync(() -> readAhead.largePage(FIRST, () -> "page"));
        assertFalse(page.isDone());
        readAhead.handedOn(FIRST);
        assertEquals("page", page.join());
    }

    @Test
    void butNotForEver() {
        readAhead.read(FIRST, 100);
        assertEquals("page", readAhead.largePage(FIRST, () -> "page"));
    }
}
