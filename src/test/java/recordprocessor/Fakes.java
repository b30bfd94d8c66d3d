package recordprocessor;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.BooleanSupplier;
import software.amazon.kinesis.leases.Lease;
import software.amazon.kinesis.leases.LeaseCoordinator;
import software.amazon.kinesis.leases.LeaseRefresher;

/** Small stand-ins for what lies below and beside the daemon. */
final class Fakes {
    static final long FENCING_TOKEN = 7;

    private Fakes() {}

    /** An object of an interface of KCL's that answers only the named methods. */
    static <T> T only(Class<T> type, Map<String, Callable<?>> answers) {
        InvocationHandler handler = (proxy, method, arguments) -> {
            if (!answers.containsKey(method.getName())) {
                throw new AssertionError("unexpected call of " + method);
            }
            return answers.get(method.getName()).call();
        };
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler));
    }

    static Leases leases(BooleanSupplier held, Runnable onDrop) {
        LeaseRefresher refresher =
                only(LeaseRefresher.class, Map.of("createLeaseIfNotExists", () -> true, "evictLease", () -> true));
        LeaseCoordinator coordinator = only(
                LeaseCoordinator.class,
                Map.of(
                        "leaseRefresher", () -> refresher,
                        "isRunning", () -> false,
                        "dropLease",
                                () -> {
                                    onDrop.run();
                                    return null;
                                },
                        "getCurrentlyHeldLease", () -> held.getAsBoolean() ? lease() : null));
        return new Leases("leases", 10_000, null, coordinator, null, arn -> Optional.empty());
    }

    private static Lease lease() {
        Lease lease = new Lease();
        lease.lastCounterIncrementNanos(System.nanoTime());
        lease.leaseCounter(FENCING_TOKEN);
        return lease;
    }

    /** Waits for a condition, for 20 s at the most. */
    static void await(String what, BooleanSupplier condition) {
        long deadline = System.nanoTime() + 20_000_000_000L;
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within 20 s: " + what);
            }
            Pause.millis(5);
        }
    }
}
