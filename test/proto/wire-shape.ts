import { isFieldSet } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  type FileDescriptorSet,
  type ServiceDescriptorProto,
} from "@bufbuild/protobuf/wkt";

/** What a peer can notice of each declared thing, as one line, by its full name. */
export type WireShape = ReadonlyMap<string, string>;

type Entry = readonly [name: string, line: string];

/**
 * The shape of every file, message, field, enum, enum value, service and method in `set`. A map field is its entry
 * message, as on the wire.
 */
export function wireShape(set: FileDescriptorSet): WireShape {
  return new Map(
    set.file.flatMap((file): Entry[] => [
      [file.name, `${file.syntax} file of ${file.package}`],
      ...file.messageType.flatMap((message) => messageShape(file.package, message)),
      ...file.enumType.flatMap((declared) => enumShape(file.package, declared)),
      ...file.service.flatMap((service) => serviceShape(file.package, service)),
    ]),
  );
}

/** What `ours` declares and `real` does not, or declares differently. What `ours` leaves out is no difference. */
export function differences(ours: WireShape, real: WireShape): readonly string[] {
  return [...ours]
    .filter(([name, line]) => real.get(name) !== line)
    .map(([name, line]) => `${name}: ours is ${line}; theirs is ${real.get(name) ?? "absent"}`);
}

function messageShape(scope: string, message: DescriptorProto): Entry[] {
  const name = `${scope}.${message.name}`;
  return [
    [name, message.options?.mapEntry ? "map entry" : "message"],
    ...message.field.map((field): Entry => [`${name}.${field.name}`, fieldShape(field, message)]),
    ...message.nestedType.flatMap((nested) => messageShape(name, nested)),
    ...message.enumType.flatMap((nested) => enumShape(name, nested)),
  ];
}

function fieldShape(field: FieldDescriptorProto, message: DescriptorProto): string {
  const label =
    field.label === FieldDescriptorProto_Label.REPEATED ? "repeated" : field.proto3Optional ? "optional" : "singular";
  const line = `${field.number} ${label} ${FieldDescriptorProto_Type[field.type]} ${field.typeName}`.trim();
  // Unset, oneofIndex reads as 0, which is also the first oneof; an optional field has a oneof of its own that nobody
  // declared.
  const inOneof = isFieldSet(field, FieldDescriptorProtoSchema.field.oneofIndex) && !field.proto3Optional;
  return inOneof
    ? `${line} ${field.jsonName} in oneof ${message.oneofDecl[field.oneofIndex]?.name}`
    : `${line} ${field.jsonName}`;
}

function enumShape(scope: string, declared: EnumDescriptorProto): Entry[] {
  const name = `${scope}.${declared.name}`;
  return [[name, "enum"], ...declared.value.map((value): Entry => [`${name}.${value.name}`, `value ${value.number}`])];
}

function serviceShape(scope: string, service: ServiceDescriptorProto): Entry[] {
  const name = `${scope}.${service.name}`;
  const stream = (streaming: boolean) => (streaming ? "stream " : "");
  const methods = service.method.map(
    (method): Entry => [
      `${name}.${method.name}`,
      `${stream(method.clientStreaming)}${method.inputType} -> ${stream(method.serverStreaming)}${method.outputType}`,
    ],
  );
  return [[name, "service"], ...methods];
}
