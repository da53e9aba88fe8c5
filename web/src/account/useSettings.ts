import { useAuth } from '@clerk/react';
import { useEffect, useState } from 'react';

import { call, type Failure } from '../backend';
import type { store } from '../client';

export type Settings = store.Settings;
export type Name = Exclude<keyof Settings, 'version'>;

const names: Name[] = ['displayName', 'locale', 'timeZone', 'theme'];

/** Form has the settings that the backend answered last, and the ones that the user is editing. */
export interface Form {
  saved: Settings;
  draft: Settings;
}

/** Outcome is where the last request stands. */
export type Outcome =
  | { kind: 'none' | 'loading' | 'saving' | 'saved' }
  | { kind: 'changed-elsewhere'; before: Settings } // not saved, because the backend had newer settings
  | { kind: 'failed'; reason: string; fields: FieldErrors };

/** FieldErrors say what is wrong with which field. */
export type FieldErrors = Partial<Record<Name, string>>;

/** useSettings loads the settings once the backend is ready, that is, knows the user. It saves them on demand. */
export function useSettings(apiUrl: string, ready: boolean) {
  const { getToken } = useAuth();
  const [{ form, outcome }, setState] = useState<{ form?: Form; outcome: Outcome }>({ outcome: { kind: 'none' } });

  const setOutcome = (outcome: Outcome) => setState(({ form }) => ({ form, outcome }));

  /** take stores what the backend answered. What the user changed since base stays in the draft. */
  function take(answered: Settings, outcome: Outcome, base?: Settings) {
    setState(({ form }) => ({
      form: { saved: answered, draft: { ...answered, ...(form && changes(base ?? form.saved, form.draft)) } },
      outcome,
    }));
  }

  async function load(outcome: Outcome) {
    const answer = await call(apiUrl, getToken, (client) => client.account.GetAccount());
    if (answer.kind === 'result') take(answer.result.settings, outcome);
    else setOutcome(failed(answer));
  }

  function reload() {
    setOutcome({ kind: 'loading' });
    void load({ kind: 'none' });
  }

  useEffect(() => {
    if (ready && !form) reload();
  }, [ready]);

  return {
    form,
    outcome,
    reload,
    change(name: Name, value: string) {
      setState(({ form, outcome }) => ({
        form: form && { ...form, draft: { ...form.draft, [name]: value } },
        outcome: afterChange(outcome, name),
      }));
    },
    discard() {
      setState(({ form }) => ({ form: form && { ...form, draft: form.saved }, outcome: { kind: 'none' } }));
    },
    /** save sends all the settings, with the version that they are based on. */
    async save() {
      if (!form || outcome.kind === 'saving') return;
      const sent = form.draft;
      setOutcome({ kind: 'saving' });
      const answer = await call(apiUrl, getToken, (client) => client.account.SaveSettings(sent));
      if (answer.kind === 'result') take(answer.result, { kind: 'saved' }, sent);
      else if (answer.kind === 'refused' && answer.status === 409) await load({ kind: 'changed-elsewhere', before: form.saved });
      else setOutcome(failed(answer));
    },
  };
}

/** changes returns the settings of to that differ from from. */
export function changes(from: Settings, to: Settings): Partial<Settings> {
  return Object.fromEntries(names.filter((name) => from[name] !== to[name]).map((name) => [name, to[name]]));
}

/** changed reports whether there is something to save. */
export const changed = ({ saved, draft }: Form) => Object.keys(changes(saved, draft)).length > 0;

/** afterChange returns what is still true of the last request when the user has changed a field. */
function afterChange(outcome: Outcome, name: Name): Outcome {
  if (outcome.kind === 'saved') return { kind: 'none' };
  if (outcome.kind !== 'failed' || !outcome.fields[name]) return outcome;
  const { [name]: _, ...fields } = outcome.fields;
  return Object.keys(fields).length > 0 ? { ...outcome, fields } : { kind: 'none' };
}

/** failed explains a failure: at the fields if the backend names them. */
function failed(failure: Failure): Outcome {
  if (failure.kind === 'unreachable') return { kind: 'failed', reason: 'The backend does not answer.', fields: {} };
  const details = failure.kind === 'refused' ? (failure.details as { fields?: FieldErrors } | null | undefined) : null;
  const fields: FieldErrors = {};
  for (const name of names) {
    const must = details?.fields?.[name];
    if (must) fields[name] = `It ${must}.`;
  }
  const marked = Object.keys(fields).length;
  if (marked === 0) return { kind: 'failed', reason: `The backend says “${failure.message}”.`, fields };
  return { kind: 'failed', reason: `Correct the marked ${marked === 1 ? 'field' : 'fields'}.`, fields };
}
