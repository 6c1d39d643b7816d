import type { Plan } from "./plan.ts";
import type { Rng } from "./rng.ts";
import type { SimClock } from "./sim-clock.ts";
import type { Member, SimWorld } from "./sim-world.ts";
import { waiting } from "./troubles.ts";

const logInAgainMs = 8_000;

/** What clients and administrators do, from the beginning to the end: requests at all replicas, logins, revocations. */
export function startWork({
  world,
  clock,
  rng,
  plan,
  untilMs,
}: {
  world: SimWorld;
  clock: SimClock;
  rng: Rng;
  plan: Plan;
  untilMs: number;
}): void {
  const { checkEveryMs, putEveryMs, revokeEveryMs } = plan.work;
  for (const session of world.sessions)
    if (rng.chance(0.9))
      clock.after(rng.between(100, 2_000), () => onOne(rng, (member) => world.logIn(member, session)));
  every(checkEveryMs, rng.fork(), check);
  every(logInAgainMs, rng.fork(), (chance) =>
    onOne(chance, (member) => logInAgain(member, chance.pick(world.sessions))),
  );
  every(putEveryMs, rng.fork(), (chance) =>
    onOne(chance, (member) => world.logIn(member, chance.pick(world.sessions))),
  );
  every(revokeEveryMs, rng.fork(), (chance) => {
    const session = chance.pick(world.sessions);
    onOne(chance, (member) => world.revoke(member, session));
    if (chance.chance(0.7))
      clock.after(chance.between(10, 20_000), () => onOne(chance, (member) => world.logIn(member, session)));
  });

  /** A user who is sent to log in does, after a while. */
  function logInAgain(member: Member, session: string): void {
    if (world.needsLogin(session)) world.logIn(member, session);
  }

  /** Often at all replicas at once: that is when they meet. */
  function check(chance: Rng): void {
    const session = chance.pick(world.sessions);
    const waitMs = chance.pick([200, 3_000, 12_000]);
    if (chance.chance(0.3)) for (const member of world.members()) askOn(member, session, waitMs);
    else onOne(chance, (member) => askOn(member, session, waitMs));
  }

  function askOn(member: Member, session: string, waitMs: number): void {
    member.process.deliver(() => world.ask(member, session, waitMs));
  }

  function onOne(chance: Rng, task: (member: Member) => void): void {
    const members = world.members();
    if (members.length === 0) return;
    const member = chance.pick(members);
    member.process.deliver(() => task(member));
  }

  function every(meanMs: number, chance: Rng, task: (chance: Rng) => void): void {
    const delayMs = waiting(chance, meanMs);
    if (!(clock.now() + delayMs < untilMs)) return;
    clock.after(delayMs, () => {
      task(chance);
      every(meanMs, chance, task);
    });
  }
}
