"""The properties of KCL's MultiLangDaemon that do not apply here, each with its reason. Read by settings.

Complete, together with the properties that are supported, against every setter of KCL 3.1.3's
`MultiLangDaemonConfiguration`, the beans in it that are reached by `bean.name`, and the three properties that
`MultiLangDaemonConfig` reads itself. So a stock file never meets a mere "unknown property".
"""

from __future__ import annotations

from typing import Final

_POLLING_ONLY: Final = "DynamoDB Streams has polling only; remove it"
_DESCRIBE_STREAM: Final = "shards are listed by DescribeStream, not ListShards; remove it"
_SHARD_SYNC: Final = "new shards are looked for all the time; remove it"
_BALANCING: Final = "leases are shared out evenly, not by CPU or throughput; remove it"
_NO_METRICS_TABLE: Final = "no worker metrics table is made; remove it"
_STATE_TABLE: Final = (
    "the coordinator state table is made for you, on demand; remove it, or make the table before"
)
_NOT_KINESIS: Final = "nothing is read from Kinesis; remove it"
_CREDENTIALS: Final = "credentials come from the AWS SDK's default chain; remove it"
_CLIENTS: Final = "AWS clients are made from regionName and dynamoDBEndpoint; remove it"

REFUSED: Final[dict[str, str]] = {
    "streamName": "that is a Kinesis stream; write sourceTable = <table> or streamArn = <arn>",
    "workerIdentifier": "write workerId",
    "initialPositionInStreamExtended": "DynamoDB Streams cannot start at a time; use initialPositionInStream",
    "retrievalMode": _POLLING_ONLY,
    "kinesisEndpoint": _NOT_KINESIS,
    "maxActiveThreads": "each shard has a process of its own; remove it",
    "callProcessRecordsEvenForEmptyRecordList": "checkpoints are also made while a shard is idle; remove it",
    "validateSequenceNumberBeforeCheckpointing": "only numbers of handled records are stored; remove it",
    "ignoreUnexpectedChildShards": _SHARD_SYNC,
    "shardSyncIntervalMillis": _SHARD_SYNC,
    "skipShardSyncAtWorkerInitializationIfLeasesExist": _SHARD_SYNC,
    "shardPrioritization": "a shard is read when its parent is finished; remove it",
    "clientVersionConfig": "the way leases are taken is chosen for you; remove it",
    "listShardsBackoffTimeInMillis": _DESCRIBE_STREAM,
    "maxListShardsRetryAttempts": _DESCRIBE_STREAM,
    "retryGetRecordsInSeconds": "a read that takes too long is limited and repeated for you; remove it",
    "maxGetRecordsThreadPool": "every shard reads on its own; remove it",
    "millisBehindLatestThresholdForReducedTps": "use idleTimeBetweenReadsInMillis",
    "leaseAssignmentIntervalMillis": "leases are taken by the worker itself; use failoverTimeMillis",
    "enablePriorityLeaseAssignment": _BALANCING,
    "gracefulLeaseHandoffTimeoutMillis": "use shutdownGraceMillis",
    "isGracefulLeaseHandoffEnabled": "a drain always gives its leases back; remove it",
    "inMemoryWorkerMetricsCaptureFrequencyMillis": _BALANCING,
    "workerMetricsReporterFreqInMillis": _BALANCING,
    "noOfPersistedMetricsPerWorkerMetrics": _BALANCING,
    "disableWorkerMetrics": _BALANCING,
    "maxThroughputPerHostKBps": _BALANCING,
    "dampeningPercentage": _BALANCING,
    "reBalanceThresholdPercentage": _BALANCING,
    "allowThroughputOvershoot": _BALANCING,
    "varianceBalancingFrequency": _BALANCING,
    "workerMetricsEMAAlpha": _BALANCING,
    "staleWorkerMetricsEntryCleanupDuration": _BALANCING,
    "workerMetricsTableName": _NO_METRICS_TABLE,
    "workerMetricsBillingMode": _NO_METRICS_TABLE,
    "workerMetricsReadCapacity": _NO_METRICS_TABLE,
    "workerMetricsWriteCapacity": _NO_METRICS_TABLE,
    "workerMetricsPointInTimeRecoveryEnabled": _NO_METRICS_TABLE,
    "workerMetricsDeletionProtectionEnabled": _NO_METRICS_TABLE,
    "workerMetricsTags": _NO_METRICS_TABLE,
    "coordinatorStateBillingMode": _STATE_TABLE,
    "coordinatorStateReadCapacity": _STATE_TABLE,
    "coordinatorStateWriteCapacity": _STATE_TABLE,
    "coordinatorStatePointInTimeRecoveryEnabled": _STATE_TABLE,
    "coordinatorStateDeletionProtectionEnabled": _STATE_TABLE,
    "coordinatorStateTags": _STATE_TABLE,
}
"""Each refused name with the reason, and what to do instead."""

REFUSED_BEANS: Final[dict[str, str]] = {
    "fanoutConfig": _POLLING_ONLY,
    "pollingConfig": "use maxRecords and idleTimeBetweenReadsInMillis",
    "gracefulLeaseHandoffConfigBean": "use shutdownGraceMillis",
    "workerUtilizationAwareAssignmentConfigBean": _BALANCING,
    "workerMetricStatsTableConfigBean": _NO_METRICS_TABLE,
    "coordinatorStateTableConfigBean": "use coordinatorStateTableName",
    "kinesisCredentialsProvider": _CREDENTIALS,
    "dynamoDBCredentialsProvider": _CREDENTIALS,
    "cloudWatchCredentialsProvider": _CREDENTIALS,
    "kinesisClient": _NOT_KINESIS,
    "dynamoDbClient": _CLIENTS,
    "cloudWatchClient": _CLIENTS,
}
"""The beans of `bean.name = value`, refused with whatever name follows the dot."""


def reason_refused(name: str) -> str | None:
    """Return why a property that KCL knows is refused; None for a name that KCL does not know."""
    bean, dot, _ = name.partition(".")
    return REFUSED.get(name) or (REFUSED_BEANS.get(bean) if dot or bean == name else None)
