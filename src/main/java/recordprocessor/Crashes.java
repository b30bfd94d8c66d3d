package recordprocessor;

/**
 * What the ends of one shard's processes say about its records.
 *
 * <p>Two in a row that died while they had records, and one of these may be why. From then on a process works one by one
 * up to the last record that they had, and one that dies so has died of the first record that it had not acknowledged.
 * What came behind the records that it was to handle one by one it had not begun with, so that is no more suspected.
 */
final class Crashes {
    private static final int IN_A_ROW = 2;

    private int deaths;
    /** The last record that the first of them had. */
    private SequenceNumber firstHadUpTo = SequenceNumber.NONE;
    /** The last record that any of them had. */
    private SequenceNumber suspectedUpTo = SequenceNumber.NONE;
    /** Alone with it the last {@link #attempts} died. */
    private SequenceNumber culprit = SequenceNumber.NONE;

    private int attempts;

    /**
     * What the next process has to know.
     *
     * @param oneByOneUpTo the last record to be handled alone, or null
     * @param attempts how many processes have died alone with the first record
     */
    record Suspicion(SequenceNumber oneByOneUpTo, int attempts) {
        static final Suspicion NONE = new Suspicion(null, 0);
    }

    /**
     * A process ended by itself or was killed for what it did.
     *
     * @param acknowledged up to here all is handled
     * @param first the first record that it had not acknowledged; NONE if it had no record
     * @param last the last record that it was sent
     */
    void died(SequenceNumber acknowledged, SequenceNumber first, SequenceNumber last) {
        if (first.equals(SequenceNumber.NONE)) {
            return;
        }
        forget(acknowledged);
        if (isOneByOne()) {
            attempts = first.equals(culprit) ? attempts + 1 : 1;
            culprit = first;
            return;
        }
        if (deaths == 0) {
            firstHadUpTo = last;
        }
        deaths++;
        suspectedUpTo = suspectedUpTo.max(last);
    }

    /** For a process that begins with this record; the same arguments as in {@link #died}. */
    Suspicion suspicion(SequenceNumber acknowledged, SequenceNumber first) {
        forget(acknowledged);
        return isOneByOne() ? new Suspicion(suspectedUpTo, first.equals(culprit) ? attempts : 0) : Suspicion.NONE;
    }

    private boolean isOneByOne() {
        return deaths >= IN_A_ROW;
    }

    /** Somebody got past all that is suspected. */
    private void forget(SequenceNumber acknowledged) {
        SequenceNumber end = isOneByOne() ? suspectedUpTo : firstHadUpTo;
        if (!end.isAfter(acknowledged)) {
            deaths = 0;
            firstHadUpTo = SequenceNumber.NONE;
            suspectedUpTo = SequenceNumber.NONE;
            culprit = SequenceNumber.NONE;
            attempts = 0;
        }
    }
}
