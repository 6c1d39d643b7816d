import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Attributes,
  type Context,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";

/** What this code runs for: the Check, or the flight, that whatever it does belongs to. */
export interface Current {
  readonly kind: "check" | "flight";
  readonly span: Span;
  readonly context: Context;
}

interface SpanOptions {
  readonly kind: SpanKind;
  /** Not for what may seldom be followed: they are copied before that is decided. */
  readonly attributes?: Attributes;
  readonly links?: Link[];
}

/** Begins spans, and knows which one the code that asks runs for. */
export interface Spans {
  current(): Current | undefined;
  /** A span that others belong to. @param parent where the trace goes on from; absent: it begins here */
  begin(kind: Current["kind"], name: string, options: SpanOptions, parent?: Context): Current;
  /** Runs the work for that span, with all that it begins. */
  within<T>(current: Current, work: () => T): T;
  /** A span of the current one; undefined outside of any, where nothing is traced. */
  child(name: string, options: SpanOptions): Span | undefined;
}

export function createSpans(tracer: Tracer): Spans {
  const storage = new AsyncLocalStorage<Current>();
  return {
    current: () => storage.getStore(),
    begin(kind, name, options, parent = ROOT_CONTEXT) {
      const span = tracer.startSpan(name, options, parent);
      return { kind, span, context: trace.setSpan(ROOT_CONTEXT, span) };
    },
    within: (current, work) => storage.run(current, work),
    child(name, options) {
      const current = storage.getStore();
      return current && tracer.startSpan(name, options, current.context);
    },
  };
}

/** The context of a span in another process. */
export function remoteContext(context: SpanContext): Context {
  return trace.setSpanContext(ROOT_CONTEXT, context);
}

/** Says that a span's work failed. @param why a code or a word of the program: it is exported as it is */
export function markFailed(span: Span, why: string): void {
  span.setAttribute("error.type", why);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

/** Ends a span when its work has ended, and hands on what that gave. */
export function endingWith<T>(span: Span, work: Promise<T>, note: (result: T) => void = () => {}): Promise<T> {
  return work.then(
    (result) => {
      note(result);
      span.end();
      return result;
    },
    (error: unknown) => {
      markFailed(span, wordOf(error));
      span.end();
      throw error;
    },
  );
}

/** A message may repeat what a request presented, and a code or a class's name cannot. */
function wordOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  if ("code" in error && typeof error.code === "string") return error.code;
  return error.cause === undefined ? error.name : wordOf(error.cause);
}
