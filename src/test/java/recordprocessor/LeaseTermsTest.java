package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.Test;
import software.amazon.kinesis.leases.Lease;
import software.amazon.kinesis.leases.LeaseCoordinator;

class LeaseTermsTest {
    private static LeaseTerms terms(Lease held) {
        return leases(held).terms("key");
    }

    private static Leases leases(Lease held) {
        Map<String, Callable<?>> answers = new HashMap<>();
        answers.put("leaseRefresher", () -> null);
        answers.put("getCurrentlyHeldLease", () -> held);
        return new Leases("leases", 3_000, null, Fakes.only(LeaseCoordinator.class, answers), null, null);
    }

    @Test
    void theDeadlineIsTheLastRenewalAndTheTimeThatALeaseLasts() {
        Lease lease = new Lease();
        lease.lastCounterIncrementNanos(1_000L);
        lease.leaseCounter(7L);
        assertEquals(new LeaseTerms(3_000_001_000L, 7), terms(lease));
    }

    @Test
    void itIsEarlierIfOtherHostsTakeUsForSilentThen() {
        Lease lease = new Lease();
        lease.lastCounterIncrementNanos(System.nanoTime());
        lease.leaseCounter(7L);
        Leases leases = leases(lease);
        leases.use(() -> 1_000_000_000L);
        long millisLeft = (leases.terms("key").deadlineNanos() - System.nanoTime()) / 1_000_000;
        assertTrue(millisLeft <= 1_000, String.valueOf(millisLeft));
        assertTrue(leases.isHeld("key"));
        leases.use(() -> 0L);
        assertFalse(leases.isHeld("key"));
    }

    @Test
    void aLeaseThatIsNotHeldHasNoTerms() {
        assertNull(terms(null));
        assertNull(terms(new Lease()));
    }
}
