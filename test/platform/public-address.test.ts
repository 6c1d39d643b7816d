import { expect, test } from "vitest";
import { specialKind } from "../../src/platform/public-address.ts";

/** One of each block of IANA's special-purpose registries, beside those that stand for another address. */
test.each([
  ["0.1.2.3", "unspecified"],
  ["10.255.0.1", "private"],
  ["100.64.0.1", "carrierGradeNat"],
  ["127.9.9.9", "loopback"],
  ["169.254.169.254", "linkLocal"],
  ["172.31.255.255", "private"],
  ["192.0.0.8", "reserved"],
  ["192.0.2.1", "reserved"],
  ["192.31.196.1", "as112"],
  ["192.52.193.1", "amt"],
  ["192.88.99.1", "reserved"],
  ["192.168.0.1", "private"],
  ["192.175.48.1", "as112"],
  ["198.19.255.255", "reserved"],
  ["198.51.100.1", "reserved"],
  ["203.0.113.1", "reserved"],
  ["224.0.0.1", "multicast"],
  ["240.0.0.1", "reserved"],
  ["255.255.255.255", "broadcast"],
  ["::", "unspecified"],
  ["::1", "loopback"],
  ["::7f00:1", "reserved"],
  ["::127.0.0.1", "loopback"],
  ["::ffff:127.0.0.1", "loopback"],
  ["::ffff:a9fe:a9fe", "linkLocal"],
  ["::ffff:0:127.0.0.1", "rfc6145"],
  ["64:ff9b::10.0.0.1", "private"],
  ["64:ff9b:1::8.8.8.8", "rfc6052"],
  ["100::1", "discard"],
  ["100:0:0:1::1", "reserved"],
  ["2001::1", "teredo"],
  ["2001:1::1", "reserved"],
  ["2001:2::1", "benchmarking"],
  ["2001:20::1", "orchid2"],
  ["2001:db8::1", "reserved"],
  ["2002:7f00:1::", "6to4"],
  ["2620:4f:8000::1", "as112v6"],
  ["3fff::1", "reserved"],
  ["4000::1", "reserved"],
  ["5f00::1", "segmentRouting"],
  ["fd12:3456::1", "uniqueLocal"],
  ["fe80::1", "linkLocal"],
  ["fe80::1%eth0", "linkLocal"],
  ["fec0::1", "deprecatedSiteLocal"],
  ["ff02::1", "multicast"],
  ["gateway", "no IP address"],
])("%s is special: %s", (address, kind) => {
  expect(specialKind(address)).toBe(kind);
});

test.each([
  "1.1.1.1",
  "100.128.0.1",
  "172.32.0.1",
  "::ffff:1.1.1.1",
  "64:ff9b::1.1.1.1",
  "2606:4700:4700::1111",
  "2a00:1450:4001::1",
])("%s is public", (address) => {
  expect(specialKind(address)).toBeUndefined();
});
