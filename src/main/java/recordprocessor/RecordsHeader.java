package recordprocessor;

/**
 * What goes before the records of a processRecords message.
 *
 * @param lease null for a stock program, which is told nothing of leases
 */
record RecordsHeader(Long millisBehindLatest, LeaseTerms lease) {}
