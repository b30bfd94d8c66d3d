package recordprocessor;

/** The daemon cannot start, or cannot go on; the message is the one line that the user reads. */
final class StartException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final int exitCode;

    StartException(int exitCode, String message, Throwable cause) {
        super(message, cause);
        this.exitCode = exitCode;
    }

    int exitCode() {
        return exitCode;
    }

    static StartException couldNotStart(String message, Throwable cause) {
        return new StartException(ExitCode.COULD_NOT_START, message, cause);
    }

    static StartException configuration(String message) {
        return new StartException(ExitCode.USAGE, message, null);
    }
}
