package recordprocessor;

import java.math.BigInteger;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;

/** Any values that DynamoDB may have. */
final class RandomValues {
    private final Random random;

    RandomValues(Random random) {
        this.random = random;
    }

    AttributeValue value(int depth) {
        return switch (random.nextInt(depth < 4 ? 10 : 8)) {
            case 0 -> AttributeValue.fromS(text());
            case 1 -> AttributeValue.fromN(number());
            case 2 -> AttributeValue.fromB(SdkBytes.fromByteArray(bytes()));
            case 3 -> AttributeValue.fromBool(random.nextBoolean());
            case 4 -> AttributeValue.fromNul(true);
            case 5 ->
                AttributeValue.fromSs(random.ints(1 + random.nextInt(20))
                        .mapToObj(each -> text())
                        .toList());
            case 6 ->
                AttributeValue.fromNs(random.ints(1 + random.nextInt(20))
                        .mapToObj(each -> number())
                        .toList());
            case 7 ->
                AttributeValue.fromBs(random.ints(1 + random.nextInt(3))
                        .mapToObj(each -> SdkBytes.fromByteArray(bytes()))
                        .toList());
            case 8 ->
                AttributeValue.fromL(random.ints(random.nextInt(20))
                        .mapToObj(each -> value(depth + 1))
                        .toList());
            default -> AttributeValue.fromM(attributes(depth));
        };
    }

    /** Up to twenty. */
    Map<String, AttributeValue> attributes(int depth) {
        Map<String, AttributeValue> attributes = new LinkedHashMap<>();
        for (int i = random.nextInt(20); i > 0; i--) {
            attributes.put(text(), value(depth + 1));
        }
        return attributes;
    }

    String text() {
        int[] codePoints = random.ints(random.nextInt(random.nextInt(20) == 0 ? 70_000 : 40), 0, 0x110000)
                .filter(point -> point < 0xd800 || point > 0xdfff)
                .toArray();
        return new String(codePoints, 0, codePoints.length);
    }

    private String number() {
        return switch (random.nextInt(4)) {
            case 0 -> Long.toString(random.nextLong() >> random.nextInt(64));
            case 1 -> random.nextLong() + "." + random.nextInt(1_000_000);
            case 2 -> new BigInteger(100, random).toString();
            default -> random.nextInt(10) + "E" + (random.nextInt(250) - 125);
        };
    }

    private byte[] bytes() {
        byte[] bytes = new byte[random.nextInt(300)];
        random.nextBytes(bytes);
        return bytes;
    }
}
