package recordprocessor;

/** Text from outside, made fit for one log line. */
final class Text {
    private static final int MAX_CHARS = 200;

    private Text() {}

    static String clean(String text) {
        String line = String.valueOf(text).replaceAll("\\p{Cntrl}", "?");
        return line.length() <= MAX_CHARS ? line : line.substring(0, MAX_CHARS) + "…";
    }
}
