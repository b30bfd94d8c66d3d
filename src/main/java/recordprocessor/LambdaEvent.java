package recordprocessor;

import java.math.BigDecimal;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.Identity;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.dynamodb.model.StreamRecord;

/**
 * A record in the shape of Lambda's event, taken apart as ruler's {@code Event} does: values, by the steps to them joined
 * by dots. Only the values at {@link Places} are taken out.
 */
final class LambdaEvent {
    /** An element of a list: the list's number in the event, and the index. */
    record Element(int list, int index) {}

    /**
     * A value somewhere in an event.
     *
     * @param text as ruler has it: a string in quotes, in which nothing is escaped, a number, true or false
     * @param within the elements that it is inside of, the outermost first
     */
    record Value(String text, List<Element> within) {}

    /** Where values are looked for. */
    static final class Places {
        private final Place root = new Place("");

        /**
         * @param names steps joined by dots. A name with a dot in it is not told from two names, so a step may be any
         *     part of it between dots.
         */
        Places(Collection<String> names) {
            Map<String, Place> known = new HashMap<>();
            names.forEach(name -> add(name, root, 0, known));
        }

        private static void add(String name, Place above, int begin, Map<String, Place> known) {
            for (int end = name.indexOf('.', begin); end >= 0; end = name.indexOf('.', end + 1)) {
                Place place = known.computeIfAbsent(name.substring(0, end), Place::new);
                above.below.put(name.substring(begin, end), place);
                add(name, place, end + 1, known);
            }
            Place last = known.computeIfAbsent(name, Place::new);
            above.below.put(name.substring(begin), last);
            last.isWanted = true;
        }
    }

    private static final class Place {
        static final Place NOWHERE = new Place("");

        final String name;
        final Map<String, Place> below = new HashMap<>();
        boolean isWanted;

        Place(String name) {
            this.name = name;
        }

        Place at(String step) {
            return below.getOrDefault(step, NOWHERE);
        }
    }

    private static final List<Element> NO_LIST = List.of();

    private final Map<String, List<Value>> values = new HashMap<>();
    private int lists;

    LambdaEvent(Record event, String streamArn, Places places) {
        Place root = places.root;
        string(root.at("eventID"), event.eventID(), NO_LIST);
        string(root.at("eventName"), event.eventNameAsString(), NO_LIST);
        string(root.at("eventVersion"), event.eventVersion(), NO_LIST);
        string(root.at("eventSource"), event.eventSource(), NO_LIST);
        string(root.at("awsRegion"), event.awsRegion(), NO_LIST);
        string(root.at("eventSourceARN"), streamArn, NO_LIST);
        identity(root.at("userIdentity"), event.userIdentity());
        stream(root.at("dynamodb"), event.dynamodb());
    }

    List<Value> values(String name) {
        return values.getOrDefault(name, List.of());
    }

    private void identity(Place place, Identity identity) {
        if (identity != null) {
            string(place.at("type"), identity.type(), NO_LIST);
            string(place.at("principalId"), identity.principalId(), NO_LIST);
        }
    }

    private void stream(Place place, StreamRecord stream) {
        if (stream.approximateCreationDateTime() != null) {
            text(place.at("ApproximateCreationDateTime"), seconds(stream.approximateCreationDateTime()), NO_LIST);
        }
        attributes(place.at("Keys"), stream.keys(), NO_LIST);
        attributes(place.at("NewImage"), stream.newImage(), NO_LIST);
        attributes(place.at("OldImage"), stream.oldImage(), NO_LIST);
        string(place.at("SequenceNumber"), stream.sequenceNumber(), NO_LIST);
        if (stream.sizeBytes() != null) {
            text(place.at("SizeBytes"), stream.sizeBytes().toString(), NO_LIST);
        }
        string(place.at("StreamViewType"), stream.streamViewTypeAsString(), NO_LIST);
    }

    private void attributes(Place place, Map<String, AttributeValue> attributes, List<Element> within) {
        place.below.forEach((name, below) -> {
            AttributeValue attribute = attributes.get(name);
            if (attribute != null) {
                attribute(below, attribute, within);
            }
        });
    }

    private void attribute(Place place, AttributeValue attribute, List<Element> within) {
        switch (attribute.type()) {
            case S -> string(place.at("S"), attribute.s(), within);
            case N -> string(place.at("N"), attribute.n(), within);
            case B -> binary(place.at("B"), attribute.b(), within);
            case BOOL -> text(place.at("BOOL"), attribute.bool().toString(), within);
            case NUL -> text(place.at("NULL"), attribute.nul().toString(), within);
            case M -> attributes(place.at("M"), attribute.m(), within);
            case L -> list(place.at("L"), attribute.l(), within);
            case SS -> attribute.ss().forEach(each -> string(place.at("SS"), each, within));
            case NS -> attribute.ns().forEach(each -> string(place.at("NS"), each, within));
            case BS -> attribute.bs().forEach(each -> binary(place.at("BS"), each, within));
            default -> {
                // A type that is newer than the SDK: no pattern can name it.
            }
        }
    }

    private void list(Place place, List<AttributeValue> elements, List<Element> within) {
        int list = lists++;
        for (int index = 0; place != Place.NOWHERE && index < elements.size(); index++) {
            List<Element> deeper = new ArrayList<>(within);
            deeper.add(new Element(list, index));
            attribute(place, elements.get(index), deeper);
        }
    }

    private void binary(Place place, SdkBytes bytes, List<Element> within) {
        if (place.isWanted) {
            string(place, Base64.getEncoder().encodeToString(bytes.asByteArrayUnsafe()), within);
        }
    }

    private void string(Place place, String string, List<Element> within) {
        if (place.isWanted && string != null) {
            text(place, '"' + string + '"', within);
        }
    }

    private void text(Place place, String text, List<Element> within) {
        if (place.isWanted) {
            values.computeIfAbsent(place.name, name -> new ArrayList<>()).add(new Value(text, within));
        }
    }

    private static String seconds(Instant time) {
        BigDecimal fraction = BigDecimal.valueOf(time.getNano(), 9).stripTrailingZeros();
        return BigDecimal.valueOf(time.getEpochSecond()).add(fraction).toPlainString();
    }
}
