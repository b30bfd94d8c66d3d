package recordprocessor;

/** How the daemon ends, as the launcher knows it (see {@code record_processor.errors.ExitCode}). */
final class ExitCode {
    static final int DRAINED = 0;
    /** The launcher starts the daemon again. */
    static final int CRASHED = 1;

    static final int USAGE = 2;
    static final int COULD_NOT_START = 3;
    static final int FATAL = 4;

    private ExitCode() {}
}
