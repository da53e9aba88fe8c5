import { useEffect, useRef } from 'react';

import { changes, useSettings, type Form, type Name, type Outcome } from './useSettings';

const fields: { name: Name; label: string; hint: string; options?: string[]; suggestions?: string[] }[] = [
  { name: 'displayName', label: 'Display name', hint: 'What others see.' },
  { name: 'theme', label: 'Theme', hint: 'The page’s colors, once saved.', options: ['system', 'light', 'dark'] },
  { name: 'locale', label: 'Locale', hint: 'A language tag, such as de-CH.' },
  {
    name: 'timeZone',
    label: 'Time zone',
    hint: 'Such as Europe/Zurich.',
    suggestions: Intl.supportedValuesOf('timeZone'),
  },
];

/** Settings shows the user's settings, which the service account keeps, and saves them. */
export function Settings({ apiUrl, ready }: { apiUrl: string; ready: boolean }) {
  const { form, outcome, reload, change, discard, save } = useSettings(apiUrl, ready);
  const heading = useRef<HTMLHeadingElement>(null);
  useTheme(form?.saved.theme);

  function tryAgain() {
    heading.current?.focus(); // the button goes
    reload();
  }

  if (!form && outcome.kind === 'none') return null;
  return (
    <section className="card" aria-labelledby="settings">
      <h2 id="settings" tabIndex={-1} ref={heading}>
        Your settings
      </h2>
      {form && (
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void save();
          }}
        >
          <Fields form={form} outcome={outcome} change={change} />
          <div className="actions">
            <button type="submit" className="button button-main" aria-disabled={outcome.kind === 'saving'}>
              Save
            </button>
            <button type="button" className="button" onClick={discard}>
              Discard changes
            </button>
          </div>
        </form>
      )}
      <div className="stack" role="status">
        <Said form={form} outcome={outcome} />
      </div>
      {!form && outcome.kind === 'failed' && (
        <div className="actions">
          <button type="button" className="button" onClick={tryAgain}>
            Try again
          </button>
        </div>
      )}
    </section>
  );
}

function Fields({ form, outcome, change }: { form: Form; outcome: Outcome; change: (name: Name, value: string) => void }) {
  return (
    <div className="settings">
      {fields.map(({ name, label, hint, options, suggestions }) => {
        const attributes = {
          id: name,
          value: form.draft[name],
          'aria-describedby': `${name}-hint`,
          onChange: (event: { target: { value: string } }) => change(name, event.target.value),
        };
        const saved = form.saved[name];
        const changedTwice =
          outcome.kind === 'changed-elsewhere' && form.draft[name] !== saved && outcome.before[name] !== saved;
        return (
          <div key={name}>
            <label htmlFor={name}>{label}</label>
            {options ? (
              <select {...attributes}>
                {options.map((option) => (
                  <option key={option}>{option}</option>
                ))}
              </select>
            ) : (
              <input {...attributes} list={suggestions && `${name}-suggestions`} autoComplete="off" spellCheck={false} />
            )}
            {suggestions && (
              <datalist id={`${name}-suggestions`}>
                {suggestions.map((suggestion) => (
                  <option key={suggestion} value={suggestion} />
                ))}
              </datalist>
            )}
            <small id={`${name}-hint`}>
              {changedTwice ? <b className="bad">Saved elsewhere: {saved || 'nothing'}</b> : hint}
            </small>
          </div>
        );
      })}
    </div>
  );
}

/** Said puts into words what came of the last request. */
function Said({ form, outcome }: { form?: Form; outcome: Outcome }) {
  switch (outcome.kind) {
    case 'loading':
      return <p className="quiet">Loading your settings…</p>;
    case 'saving':
      return <p className="quiet">Saving…</p>;
    case 'failed':
      return (
        <p className="problem">
          {form ? 'Your settings are not saved.' : 'Your settings cannot be shown.'} {outcome.reason}
        </p>
      );
    case 'changed-elsewhere':
      return (
        <div className="notice notice-bad">
          <h3>Your settings were changed elsewhere</h3>
          <p>
            {form && Object.keys(changes(form.saved, form.draft)).length > 0
              ? 'What you changed is still in the form, and not saved. Save replaces the newer values, Discard changes takes them.'
              : 'The form shows the newer ones. They are what you wanted to save.'}
          </p>
        </div>
      );
    default:
      return (
        <p className="quiet">
          {outcome.kind === 'saved' && <b className="good">Saved. </b>}
          {form?.saved.version ? `This is version ${form.saved.version}.` : 'They were never saved.'} The page sends the
          version that it read, and the backend refuses an old one.
        </p>
      );
  }
}

/** useTheme shows the page in a theme, by default in that of the system. */
function useTheme(theme?: string) {
  useEffect(() => {
    document.documentElement.style.colorScheme = theme === 'light' || theme === 'dark' ? theme : '';
    return () => {
      document.documentElement.style.colorScheme = '';
    };
  }, [theme]);
}
