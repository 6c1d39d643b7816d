import type { GenericContainer, StartedTestContainer } from "testcontainers";

/** A server in a container, under the same controls as a child process. */
export interface ContainerServer {
  readonly id: string;
  /** The process on the host, as the engine reports it. */
  readonly pid: number;
  mappedPort(port: number): number;
  output(): string;
  /** For SIGKILL and SIGTERM, waits for the end. */
  signal(signal: NodeJS.Signals): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * True where a container engine (Docker, Podman, …) answers. Loaded only when asked: testcontainers is slow to import.
 */
export async function engineAnswers(): Promise<boolean> {
  const { getContainerRuntimeClient } = await import("testcontainers");
  return getContainerRuntimeClient().then(
    () => true,
    () => false,
  );
}

/**
 * Starts `image` as `configure` says, which also sets what counts as started; a failure to start tells what the
 * container printed.
 */
export async function startContainer(
  image: string,
  configure: (container: GenericContainer, wait: typeof import("testcontainers").Wait) => GenericContainer,
): Promise<ContainerServer> {
  const { GenericContainer, Wait, getContainerRuntimeClient } = await import("testcontainers");
  const chunks: string[] = [];
  const collect = (stream: NodeJS.ReadableStream) => stream.on("data", (chunk) => chunks.push(String(chunk)));
  const output = () => chunks.join("");
  const started = await configure(new GenericContainer(image).withLogConsumer(collect), Wait)
    .start()
    .catch((cause: unknown) => {
      throw new Error(`${image} did not start:\n${output()}`, { cause });
    });
  const { container: client } = await getContainerRuntimeClient();
  const handle = client.getById(started.getId());
  return {
    id: started.getId(),
    pid: (await handle.inspect()).State.Pid,
    mappedPort: (port) => started.getMappedPort(port),
    output,
    async signal(signal) {
      const ended = /^SIG(KILL|TERM)$/.test(signal) ? handle.wait() : undefined;
      await handle.kill({ signal });
      await ended;
    },
    pause: async () => void (await handle.pause()),
    async resume() {
      // As SIGCONT does, this leaves what runs as it is.
      if ((await handle.inspect()).State.Paused) await handle.unpause();
    },
    stop: () => stopContainer(started),
  };
}

async function stopContainer(started: StartedTestContainer): Promise<void> {
  await started.stop({ timeout: 0 });
}
