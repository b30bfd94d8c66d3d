package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class SequenceNumberTest {
    @Test
    void sequenceNumbersCompareAsNumbersNotAsText() {
        assertTrue(SequenceNumber.of("10").isAfter(SequenceNumber.of("9")));
        assertTrue(SequenceNumber.of("100000000000000000000001").isAfter(SequenceNumber.of("99999999999999999999999")));
        assertFalse(SequenceNumber.of("007").isAfter(SequenceNumber.of("7")));
    }

    @Test
    void sentinelsComeBeforeEveryRecord() {
        assertEquals(SequenceNumber.NONE, SequenceNumber.of("TRIM_HORIZON"));
        assertEquals(SequenceNumber.NONE, SequenceNumber.of(null));
        assertTrue(SequenceNumber.of("0").isAfter(SequenceNumber.of("LATEST")));
    }

    @Test
    void aSequenceNumberKeepsItsText() {
        assertEquals(
                "000000000000000000040",
                SequenceNumber.of("000000000000000000040").toString());
        assertEquals(SequenceNumber.of("40"), SequenceNumber.of("000000000000000000040"));
        assertEquals(
                SequenceNumber.of("40").hashCode(),
                SequenceNumber.of("000000000000000000040").hashCode());
    }
}
