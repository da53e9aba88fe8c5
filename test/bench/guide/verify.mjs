// Times verifyToken with jwtKey. The first line of stdin is a JSON array of
// session tokens; each further line asks for one round over all of them, one
// after the other, which is answered with the nanoseconds of a verification.
import { createInterface } from 'node:readline';
import { verifyToken } from '@clerk/backend';

const options = {
  jwtKey: process.env.CLERK_JWT_KEY,
  authorizedParties: process.env.CLERK_AUTHORIZED_PARTIES.split(','),
};

let tokens;
for await (const line of createInterface({ input: process.stdin })) {
  if (!tokens) {
    tokens = JSON.parse(line);
    continue;
  }
  const start = process.hrtime.bigint();
  for (const token of tokens) {
    await verifyToken(token, options); // throws for a token that is not in order
  }
  console.log(Number(process.hrtime.bigint() - start) / tokens.length);
}
