package recordprocessor;

import java.util.Collection;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicReference;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.services.dynamodb.model.Record;

/**
 * Which records go to a shard's process: what {@code filterCriteria} lets through, if one of
 * {@code changedAttributes} changed. A record is kept back only by a verdict: whenever there can be none, it passes.
 */
final class RecordFilter {
    private static final Logger log = LoggerFactory.getLogger(RecordFilter.class);

    private final Optional<FilterCriteria> criteria;
    private final Optional<ChangedAttributes> changed;
    /** Those of Keys, NewImage and OldImage that are looked at. */
    private final Set<String> sections = new TreeSet<>();
    /** What was complained of last: one line for a stream, not one for each record. */
    private final AtomicReference<String> complaint = new AtomicReference<>("");

    private RecordFilter(Optional<FilterCriteria> criteria, Optional<ChangedAttributes> changed) {
        this.criteria = criteria;
        this.changed = changed;
        criteria.ifPresent(patterns -> sections.addAll(patterns.sections()));
        changed.ifPresent(attributes -> sections.addAll(Set.of("NewImage", "OldImage")));
    }

    static RecordFilter of(Settings settings) {
        try {
            return new RecordFilter(
                    settings.filterCriteria().map(FilterCriteria::parse),
                    Optional.of(settings.changedAttributes())
                            .filter(paths -> !paths.isEmpty())
                            .map(ChangedAttributes::parse));
        } catch (IllegalArgumentException e) {
            throw StartException.configuration("filterCriteria or changedAttributes: " + e.getMessage());
        }
    }

    boolean passes(Record event, String streamArn) {
        if (isEmpty()) {
            return true;
        }
        String viewType = event.dynamodb().streamViewTypeAsString();
        if (!carried(viewType).containsAll(sections)) {
            complain("stream " + streamArn + " is not filtered: "
                    + unseen(viewType).orElseThrow());
            return true;
        }
        try {
            return changed.map(attributes -> attributes.matches(event)).orElse(true)
                    && criteria.map(patterns -> patterns.matches(event, streamArn))
                            .orElse(true);
        } catch (RuntimeException e) {
            complain("a record cannot be filtered and is handed over: "
                    + e.getClass().getSimpleName());
            return true;
        }
    }

    boolean isEmpty() {
        return criteria.isEmpty() && changed.isEmpty();
    }

    /** Says what a stream lacks for being filtered, if it lacks anything. */
    Optional<String> unseen(String viewType) {
        Set<String> missing = new TreeSet<>(sections);
        missing.removeAll(carried(viewType));
        return missing.isEmpty()
                ? Optional.empty()
                : Optional.of((criteria.isEmpty() ? "changedAttributes" : "filterCriteria or changedAttributes")
                        + " needs " + String.join(" and ", missing) + ", and its StreamViewType is " + viewType
                        + "; give the table a stream with NEW_AND_OLD_IMAGES");
    }

    private static Collection<String> carried(String viewType) {
        return switch (String.valueOf(viewType)) {
            case "KEYS_ONLY" -> Set.of("Keys");
            case "NEW_IMAGE" -> Set.of("Keys", "NewImage");
            case "OLD_IMAGE" -> Set.of("Keys", "OldImage");
            default -> Set.of("Keys", "NewImage", "OldImage");
        };
    }

    private void complain(String message) {
        if (!message.equals(complaint.getAndSet(message))) {
            log.error("{}", message);
        }
    }
}
