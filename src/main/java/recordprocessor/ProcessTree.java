package recordprocessor;

/** A process and what it started. */
final class ProcessTree {
    private ProcessTree() {}

    static void kill(ProcessHandle process) {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
    }
}
