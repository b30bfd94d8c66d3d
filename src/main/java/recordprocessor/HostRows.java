package recordprocessor;

import java.util.Map;

/**
 * The rows by which the hosts of the application know each other.
 *
 * <p>All throw {@link java.util.concurrent.CompletionException} if DynamoDB cannot be reached, or refuses the call.
 */
interface HostRows {
    /**
     * A host, by its worker id.
     *
     * @param beat another each time that the row is written
     */
    record HostRow(String beat, Start start) {}

    /** Of a host's process: a name that no other has, and its time, in milliseconds since the epoch. */
    record Start(String id, long millis) {}

    /**
     * Writes a host's row anew. Returns false, and does not, if another process has written it.
     *
     * @param byForce whoever has written it
     */
    boolean putHost(String workerId, Start start, boolean byForce);

    /** Deletes a host's row, unless another process has written it. */
    void removeHost(String workerId, Start start);

    /** Every host that has a row, by its worker id. */
    Map<String, HostRow> hosts();
}
