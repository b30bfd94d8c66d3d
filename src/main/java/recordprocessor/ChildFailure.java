package recordprocessor;

/** A shard's child process did not answer: it died, was killed, or could not be started. */
final class ChildFailure extends Exception {
    private static final long serialVersionUID = 1L;

    ChildFailure(String message) {
        super(message);
    }
}
