import { Server, ServerCredentials } from "@grpc/grpc-js";

/**
 * The measure of all ratios: the least a Check service on grpc-js can do. Raw bytes in, one constant encoded answer
 * out, given in base64 as the argument.
 */
const answer = Buffer.from(process.argv[2] ?? "", "base64");
const identity = (bytes: Buffer) => bytes;
const server = new Server();
const method = { path: "/envoy.service.auth.v3.Authorization/Check", requestStream: false, responseStream: false };
const codec = {
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
};
server.addService(
  { check: { ...method, ...codec } },
  { check: (_call: unknown, callback: (error: null, value: Buffer) => void) => callback(null, answer) },
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(`listening on ${port}`);
});
