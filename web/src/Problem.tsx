import type { Answer } from './backend';
import { readClaims } from './claims';
import type { Config } from './config';

/** Problem describes what went wrong and what helps. */
export function Problem({ answer, config }: { answer: Answer; config: Config }) {
  const problem = explain(answer, config);
  if (!problem) return null;
  return (
    <div className="notice notice-bad">
      <h2>{problem.title}</h2>
      <p>{problem.help}</p>
    </div>
  );
}

function explain(answer: Answer, config: Config): { title: string; help: string } | undefined {
  switch (answer.kind) {
    case 'unreachable':
      return {
        title: 'The backend does not answer',
        help: `Nothing came back from ${config.apiUrl}. Perhaps it is not running, or does not let this origin call it (CORS). This page goes on trying.`,
      };
    case 'no-token':
      return { title: 'Clerk gives no session token', help: answer.message };
    case 'refused':
      return refusal(answer);
  }
}

function refusal({ status, token, message }: Extract<Answer, { kind: 'refused' }>) {
  switch (status) {
    case 401:
      return {
        title: 'The backend does not accept this session token',
        help: `You are signed in with Clerk, but not to the backend. Its log says why. It accepts tokens only from the authorized parties that it lists, and this one was given to ${readClaims(token).azp}.`,
      };
    case 403:
      return { title: 'You may not see this', help: 'The backend knows you, but does not let you have this answer.' };
    case 503:
      return {
        title: 'The backend cannot reach Clerk just now',
        help: 'So it cannot tell who you are. You stay signed in, and this page goes on trying.',
      };
    default:
      return { title: `The backend failed (${status})`, help: `It says “${message}”. Its log says more.` };
  }
}
