package recordprocessor;

/** What went wrong is in our log already: whoever is told of it by KCL need not say it again. */
final class SaidException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    SaidException(String message, Throwable cause) {
        super(message, cause);
    }
}
