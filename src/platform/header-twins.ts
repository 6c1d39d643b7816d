/** One text for header names that many servers take for the same: as CGI and WSGI name them, `x_token` is `x-token`. */
export function headerTwin(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}
