package recordprocessor;

/** What all shards of this host share. */
record Host(
        Settings settings,
        Transport.Factory transports,
        TrimmedData trimmedData,
        FirstStarts firstStarts,
        RecordFilter filter,
        Budget budget,
        ReadAhead readAhead,
        SpareMemory spareMemory) {
    Host(Settings settings, Transport.Factory transports) {
        this(
                settings,
                transports,
                new TrimmedData(settings.skipTrimmedData()),
                new FirstStarts(),
                RecordFilter.of(settings),
                new Budget(settings.maximumUnacknowledgedBytes()),
                new ReadAhead(),
                new SpareMemory());
    }
}
