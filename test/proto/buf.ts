import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorSet, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

/** The repository's root, where buf.yaml is. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

const buf = createRequire(import.meta.url).resolve("@bufbuild/buf/bin/buf");
const path = [dirname(process.execPath), process.env.PATH].join(delimiter);

/** How a run of buf ended. `said` is what it reported, one problem a line. */
export interface BufResult {
  readonly code: number | null;
  readonly out: Buffer;
  readonly said: string;
}

/** Runs the pinned buf, by default in the repository's root. Its plugins run on the same Node as the test. */
export function runBuf(args: readonly string[], cwd = root): BufResult {
  const run = spawnSync(process.execPath, [buf, ...args], {
    cwd,
    env: { ...process.env, PATH: path },
    maxBuffer: 64 << 20,
  });
  if (run.error !== undefined) throw run.error;
  const text = args[0] === "build" ? run.stderr : Buffer.concat([run.stderr, run.stdout]);
  return { code: run.status, out: run.stdout, said: text.toString().trim() };
}

/**
 * The descriptors of our copies of Envoy's and Google's files, without what they import. `cwd` holds a proto/ and its
 * buf.yaml.
 */
export function ownDescriptors(cwd = root): FileDescriptorSet {
  return build(["--path", "proto/envoy", "--path", "proto/google", "--exclude-imports"], cwd);
}

/**
 * The descriptors of the real ext_authz and ext_proc services and all they import, from the .proto files that @grpc/grpc-js-xds ships.
 */
export function realDescriptors(): FileDescriptorSet {
  const deps = join(dirname(createRequire(import.meta.url).resolve("@grpc/grpc-js-xds/package.json")), "deps");
  const modules = ["envoy-api", "googleapis", "protoc-gen-validate", "xds"].map((name) => ({ path: name }));
  const config = JSON.stringify({ version: "v2", modules });
  return build(
    [
      "--config",
      config,
      ...["service/auth", "service/ext_proc"].flatMap((part) => ["--path", `envoy-api/envoy/${part}/v3`]),
    ],
    deps,
  );
}

function build(args: readonly string[], cwd: string): FileDescriptorSet {
  const { code, out, said } = runBuf(["build", ...args, "--as-file-descriptor-set", "-o", "-#format=binpb"], cwd);
  if (code !== 0) throw new Error(`buf build failed: ${said}`);
  return fromBinary(FileDescriptorSetSchema, out);
}
