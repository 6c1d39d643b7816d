/** A paragraph or a list item in lines of at most 120 columns; all lines but the first begin with `indent`. */
export function wrapped(text: string, indent = ""): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? `${lines.length === 0 ? "" : indent}${word}` : `${line} ${word}`;
    if (longer.length <= 120 || line === "") line = longer;
    else {
      lines.push(line);
      line = `${indent}${word}`;
    }
  }
  return [...lines, line].join("\n");
}
