/** What the commands need of the process. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /**
   * Resolves to the signal that tells the process to stop. From this call on the signals do not end it by themselves.
   */
  readonly untilStopped: () => Promise<string>;
  /** Calls `listener` at each SIGHUP. From this call on the signal does not end the process by itself. */
  readonly onHangup: (listener: () => void) => void;
}
