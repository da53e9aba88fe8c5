export type Claims = Record<string, unknown>;

/** readClaims reads the claims of a token for display. Only the backend verifies it. */
export function readClaims(token: string): Claims {
  const base64 = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

const meanings: Record<string, string> = {
  sub: 'The user. The backend answers it as userId.',
  azp: 'The authorized party: the origin of the page that got the token. The backend accepts the ones in its list.',
  iss: 'The Clerk instance that signed the token.',
  iat: 'Issued at',
  nbf: 'Not to be accepted before',
  exp: 'Not to be accepted after',
  sid: 'The session, from sign-in to sign-out.',
  sts: 'The session’s status. A pending one is not signed in yet.',
  fva: 'Minutes since the first and the second factor were verified; -1 for never.',
  o: 'The active organization.',
  fea: 'The features that the active organization has.',
  pla: 'The plan.',
  act: 'Who acts as the user.',
  v: 'The version of Clerk’s session tokens.',
  jti: 'The token’s own id.',
};

const times = new Set(['iat', 'nbf', 'exp']);

export interface Claim {
  name: string;
  value: string;
  meaning: string;
}

/** describe returns each claim with its meaning, the most important first. */
export function describe(claims: Claims): Claim[] {
  const order = Object.keys(meanings);
  const rank = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length);
  return Object.entries(claims)
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([name, value]) => ({
      name,
      value: typeof value === 'string' ? value : JSON.stringify(value),
      meaning: meaningOf(name, value),
    }));
}

function meaningOf(name: string, value: unknown): string {
  const meaning = meanings[name] ?? 'A custom claim.';
  return times.has(name) ? `${meaning} ${new Date(Number(value) * 1000).toLocaleTimeString()}.` : meaning;
}
