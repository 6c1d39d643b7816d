import type { ScriptedResponse } from "../support/token-endpoint.ts";
import { until } from "../support/until.ts";
import type { World } from "./world.ts";

/**
 * What the provider does with a refresh. `rotate`, `omit` (no new refresh token) and `slow` (held until `release`)
 * succeed.
 */
export type Mood = "rotate" | "omit" | "slow" | "refuse" | "down" | "garbage";

export type Step =
  | { readonly do: "put"; readonly life: "fresh" | "short" | "expired" | "bare" }
  | { readonly do: "provider"; readonly mood: Mood }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "read" | "revoke" | "release" | "store down" | "store up" };

/** The time from one put or revoke to the next. */
interface Era {
  readonly kind: "login" | "none";
  refused: boolean;
}

interface Answer {
  readonly words: string;
  readonly from: number;
  readonly to: number;
  readonly at: number;
}

/** The longest back-off, or the breaker's pause, whichever ends later. */
const longestWaitMs = 300_000;
const lives = { fresh: 60_000, short: 5_000, expired: 0, bare: 0 };

/**
 * Drives one session of a world step by step, and knows what each answer may be. The provider is real, and as strict as
 * can be.
 */
export class Model {
  readonly violations: string[] = [];
  readonly #world: World;
  readonly #eras: Era[] = [{ kind: "none", refused: false }];
  /** Of access and refresh tokens: the era they stem from. */
  readonly #eraOf = new Map<string, number>();
  readonly #endOf = new Map<string, number>();
  readonly #presented = new Set<string>();
  readonly #answers: Answer[] = [];
  #mood: Mood = "rotate";
  #released = Promise.withResolvers<void>();
  #held = 0;
  #unanswered = 0;
  #commitsBefore = 0;

  constructor(world: World) {
    this.#world = world;
    world.endpoint.respondAlways(async ({ form }, usual) => {
      const token = form.refresh_token ?? "";
      if (this.#presented.has(token)) this.violations.push(`${token} was presented twice at once`);
      this.#presented.add(token);
      const response = await this.#respond(token, usual);
      this.#presented.delete(token);
      return response;
    });
  }

  async step(step: Step): Promise<void> {
    const { tokens, store, clock, key } = this.#world;
    switch (step.do) {
      case "put":
        await this.#put(step.life);
        break;
      case "revoke":
        this.#eras.push({ kind: "none", refused: false });
        await tokens.revoke(key());
        break;
      case "provider":
        this.#mood = step.mood;
        break;
      case "pass":
        await clock.advance(step.ms);
        break;
      case "read":
        void this.#read();
        break;
      case "release":
        this.#release();
        break;
      case "store down":
        if (!store.down.has("commit")) this.#commitsBefore = store.calls.commit;
        store.down.add("commit");
        break;
      case "store up":
        store.down.clear();
        await clock.advance(1_000);
        break;
      default:
        step satisfies never;
    }
    await this.#quiet();
    this.#judge();
  }

  /** With everybody well again, what the session must get: its token unless it was refused or is none. */
  async recover(): Promise<void> {
    const recovery = [
      { do: "provider", mood: "rotate" },
      { do: "release" },
      { do: "store up" },
      { do: "pass", ms: longestWaitMs },
      { do: "read" },
    ] as const;
    for (const step of recovery) await this.step(step);
    const era = this.#eras.at(-1);
    const words = this.#answers.at(-1)?.words ?? "";
    const expected = era?.kind === "none" ? /^missing$/ : era?.refused ? /^refused/ : /^access/;
    if (!expected.test(words)) this.violations.push(`the session ended as ${words}, not as ${expected}`);
  }

  async #put(life: keyof typeof lives): Promise<void> {
    this.#eras.push({ kind: "login", refused: life === "bare" });
    const from = this.#world.clock.monotonicMs();
    const bare = life === "bare" ? { refreshToken: undefined } : {};
    const login = await this.#world.login("alice", { remainingMs: lives[life], ...bare });
    this.#learn(login, this.#eras.length - 1, from + lives[life]);
  }

  async #read(): Promise<void> {
    const { clock } = this.#world;
    const from = this.#eras.length - 1;
    this.#unanswered++;
    const words = this.#world.cached() ?? (await this.#world.fresh({ waitMs: 5_000 }));
    this.#unanswered--;
    this.#answers.push({ words, from, to: this.#eras.length - 1, at: clock.monotonicMs() });
  }

  async #respond(token: string, usual: () => ScriptedResponse): Promise<ScriptedResponse> {
    const { endpoint, clock } = this.#world;
    const mood = this.#mood;
    const era = this.#eraOf.get(token) ?? -1;
    if (mood === "down") return { status: 503 };
    if (mood === "garbage") return { body: "<html>" };
    if (mood === "refuse") endpoint.tokens.revoke(token);
    if (endpoint.tokens.isRevoked(token) && this.#eras[era]?.refused)
      this.violations.push(`${token} was presented after its refusal`);
    endpoint.tokens.options.rotates = mood !== "omit";
    const response = usual();
    if (response.status === 400) {
      const owner = this.#eras[era];
      if (owner !== undefined) owner.refused = true;
    } else this.#learn(response.body as Login, era, clock.monotonicMs() + 60_000);
    if (mood !== "slow") return response;
    this.#held++;
    await this.#released.promise;
    return response;
  }

  #learn(login: Login, era: number, end: number): void {
    this.#eraOf.set(login.access_token, era);
    this.#eraOf.set(login.refresh_token, era);
    this.#endOf.set(login.access_token, end);
  }

  #release(): void {
    this.#held = 0;
    this.#released.resolve();
    this.#released = Promise.withResolvers();
  }

  /** Until everything is answered and stored, or waits for the provider's release or for the store. */
  async #quiet(): Promise<void> {
    const { tokens, store } = this.#world;
    let settled = false;
    await new Promise((resolve) => setImmediate(resolve)); // what needs no provider is answered before the clock moves on
    void tokens.settled().then(() => (settled = true));
    const blocked = () => this.#held > 0 || (store.down.has("commit") && store.calls.commit > this.#commitsBefore);
    await until("quiet", () => (settled && this.#unanswered === 0) || blocked(), { intervalMs: 1 });
  }

  #judge(): void {
    for (const { words, from, to, at } of this.#answers) {
      const eras = this.#eras.slice(from, to + 1);
      const era = this.#eraOf.get(words);
      if (words === "missing" && !eras.some(({ kind }) => kind === "none"))
        this.violations.push("missing although logged in");
      if (words.startsWith("refused") && !eras.some(({ refused }) => refused))
        this.violations.push("refused although the provider did not");
      if (!words.startsWith("access")) continue;
      if (era === undefined || era < from || era > to)
        this.violations.push(`${words} of era ${era} was served in eras ${from} to ${to}`);
      if (at >= (this.#endOf.get(words) ?? 0)) this.violations.push(`${words} was served after its end`);
    }
    this.#answers.splice(0, this.#answers.length - 1);
  }
}

interface Login {
  readonly access_token: string;
  readonly refresh_token: string;
}
