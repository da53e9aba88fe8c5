import { useEffect, useRef } from 'react';

import { groups, labelIn, locales, themes, timeZones, type Choice } from './choices';
import { changed, useSettings, type Form, type Name, type Outcome } from './useSettings';

interface Field {
  name: Name;
  label: string;
  hint?: string;
  /** The values to choose from, if the field is a list. */
  choices?: Choice[];
}

const none: Choice = { value: '', label: 'Not set' };

const fields: Field[] = [
  { name: 'displayName', label: 'Display name', hint: 'What others see.' },
  { name: 'theme', label: 'Theme', hint: 'The colors of this page, once saved.', choices: themes },
  { name: 'locale', label: 'Locale', choices: [none, ...locales()] },
  { name: 'timeZone', label: 'Time zone', choices: [none, ...timeZones()] },
];

/** Settings shows the user's settings, which the service account keeps, and saves them. */
export function Settings({ apiUrl, ready }: { apiUrl: string; ready: boolean }) {
  const { form, outcome, reload, change, discard, save } = useSettings(apiUrl, ready);
  const heading = useRef<HTMLHeadingElement>(null);
  useTheme(form?.saved.theme);
  useFocusOfFirstError(outcome);

  function tryAgain() {
    heading.current?.focus(); // the button goes
    reload();
  }

  if (!form && outcome.kind === 'none') return null;
  const idle = !form || outcome.kind === 'saving' || !changed(form);
  return (
    <section className="card" aria-labelledby="settings">
      <h2 id="settings" tabIndex={-1} ref={heading}>
        Your settings
      </h2>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (!idle) void save();
        }}
      >
        {form && (
          <div className="settings">
            {fields.map((field) => (
              <Setting key={field.name} field={field} form={form} outcome={outcome} change={change} />
            ))}
          </div>
        )}
        <div className="actions">
          {form && (
            <>
              <button type="submit" className="button button-main" aria-disabled={idle}>
                Save
              </button>
              <button type="button" className="button" aria-disabled={idle} onClick={() => idle || discard()}>
                Discard changes
              </button>
            </>
          )}
          {!form && outcome.kind === 'failed' && (
            <button type="button" className="button" onClick={tryAgain}>
              Try again
            </button>
          )}
          <div role="status">
            <Said form={form} outcome={outcome} />
          </div>
        </div>
      </form>
    </section>
  );
}

interface SettingProps {
  field: Field;
  form: Form;
  outcome: Outcome;
  change: (name: Name, value: string) => void;
}

/** Setting is one field, with what is wrong with it or what it is for. */
function Setting({ field: { name, label, hint, choices }, form, outcome, change }: SettingProps) {
  const value = form.draft[name];
  const error = outcome.kind === 'failed' ? outcome.fields[name] : undefined;
  const elsewhere = outcome.kind === 'changed-elsewhere' && value !== form.saved[name] && outcome.before[name] !== form.saved[name];
  const problem = error ?? (elsewhere ? `Saved elsewhere: ${labelIn(choices, form.saved[name])}` : undefined);

  const attributes = {
    id: name,
    value,
    'aria-describedby': problem || hint ? `${name}-hint` : undefined,
    'aria-invalid': error !== undefined,
    onChange: (event: { target: { value: string } }) => change(name, event.target.value),
  };
  return (
    <div>
      <label htmlFor={name}>{label}</label>
      {choices ? (
        <select {...attributes}>
          {groups(choices, form.saved[name], value).map(([group, choices]) => (
            <Options key={group} group={group} choices={choices} />
          ))}
        </select>
      ) : (
        <input {...attributes} autoComplete="off" spellCheck={false} />
      )}
      {(problem || hint) && (
        <small id={`${name}-hint`} className={problem && 'problem'}>
          {problem ?? hint}
        </small>
      )}
    </div>
  );
}

function Options({ group, choices }: { group: string; choices: Choice[] }) {
  const options = choices.map(({ value, label }) => (
    <option key={value} value={value}>
      {label}
    </option>
  ));
  return group ? <optgroup label={group}>{options}</optgroup> : options;
}

/** Said puts into words what came of the last request. */
function Said({ form, outcome }: { form?: Form; outcome: Outcome }) {
  switch (outcome.kind) {
    case 'loading':
      return <p className="quiet">Loading your settings…</p>;
    case 'saving':
      return <p className="quiet">Saving…</p>;
    case 'saved':
      return <p className="good">Saved</p>;
    case 'failed':
      return (
        <p className="problem">
          {form ? 'Not saved. ' : 'Your settings cannot be shown. '}
          {outcome.reason}
        </p>
      );
    case 'changed-elsewhere':
      return (
        <div className="notice notice-bad">
          <h3>Your settings were changed elsewhere</h3>
          <p>
            {form && changed(form)
              ? 'Your changes are still in the form, and not saved. “Save” replaces the newer settings, “Discard changes” takes them.'
              : 'The form shows the newer settings. They are what you wanted to save.'}
          </p>
        </div>
      );
    default:
      return null;
  }
}

/** useTheme shows the page in a theme, by default in that of the system: styles.css has the colors. */
function useTheme(theme = 'system') {
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    return () => {
      delete document.documentElement.dataset.theme;
    };
  }, [theme]);
}

/** useFocusOfFirstError leads to the first field that the backend refuses. */
function useFocusOfFirstError(outcome: Outcome) {
  useEffect(() => {
    if (outcome.kind !== 'failed') return;
    const first = fields.find(({ name }) => outcome.fields[name]);
    if (first) document.getElementById(first.name)?.focus();
  }, [outcome.kind]); // not when a correction leaves fewer errors
}
