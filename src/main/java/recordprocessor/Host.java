package recordprocessor;

/** What all shards of this host share. */
record Host(Settings settings, Transport.Factory transports, RecordFilter filter, Budget budget) {
    Host(Settings settings, Transport.Factory transports) {
        this(settings, transports, RecordFilter.of(settings), new Budget(settings.maximumUnacknowledgedBytes()));
    }
}
