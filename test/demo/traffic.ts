/** Requests sent at a steady pace, and how they were answered. */
export interface Traffic {
  /** Requests answered. */
  readonly requests: number;
  /** Those answered with 200. */
  readonly ok: number;
  /** What else came, and how often: `401 grant_missing` or an error's code. */
  readonly failures: ReadonlyMap<string, number>;
  /** Sends no more and waits for what is under way. */
  stop(): Promise<void>;
}

export interface TrafficOptions {
  readonly url: string;
  /** Sent as a bearer credential. */
  readonly credential: string;
  readonly perSecond: number;
}

/** Longer than Envoy waits for anything. */
const timeoutMs = 30_000;

/**
 * Sends the first request at once, and the others without waiting for the answers of earlier ones, as many clients
 * would.
 */
export function startTraffic({ url, credential, perSecond }: TrafficOptions): Traffic {
  const failures = new Map<string, number>();
  const underWay = new Set<Promise<void>>();
  let sent = 0;
  let requests = 0;
  let ok = 0;

  async function send(): Promise<void> {
    const failure = await ask(`${url}/items/${++sent}`, credential);
    requests++;
    if (failure === undefined) ok++;
    else failures.set(failure, (failures.get(failure) ?? 0) + 1);
  }

  const sendOne = () => {
    const request = send();
    underWay.add(request);
    void request.then(() => underWay.delete(request));
  };
  sendOne();
  const timer = setInterval(sendOne, 1_000 / perSecond);

  return {
    get requests() {
      return requests;
    },
    get ok() {
      return ok;
    },
    failures,
    async stop() {
      clearInterval(timer);
      await Promise.all(underWay);
    },
  };
}

/** What went wrong, in a few words; undefined for 200. */
async function ask(url: string, credential: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${credential}` },
      signal: AbortSignal.timeout(timeoutMs),
    });
    const body = await response.text();
    return response.status === 200 ? undefined : `${response.status} ${reasonIn(body)}`.trim();
  } catch (error) {
    const { cause = error } = error as Error;
    return (cause as NodeJS.ErrnoException).code ?? String(cause);
  }
}

/** bearerswap's word for its refusals, nothing for those of others. */
function reasonIn(body: string): string {
  try {
    return (JSON.parse(body) as { reason?: string }).reason ?? "";
  } catch {
    return "";
  }
}
