import { ClerkProvider, type ClerkProviderProps } from '@clerk/react';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { App } from './App';
import { loadConfig, type Config } from './config';
import { NotConfigured } from './NotConfigured';
import './styles.css';

const root = createRoot(document.getElementById('root')!);

try {
  const config = await loadConfig();
  const clerk = await clerkOptions(config);
  root.render(
    <StrictMode>
      <ClerkProvider {...clerk}>
        <App config={config} />
      </ClerkProvider>
    </StrictMode>,
  );
} catch {
  root.render(<NotConfigured />);
}

/**
 * clerkOptions are the provider's props. With real Clerk its JavaScript comes from Clerk. With the stand-in it is
 * the same, from npm and in the build of Clerk's own that loads no further code, so that nothing leaves this
 * machine, and it asks the stand-in where it would ask the host that the publishable key names.
 */
async function clerkOptions(config: Config): Promise<Omit<ClerkProviderProps, 'children'>> {
  const options = {
    publishableKey: config.publishableKey,
    afterSignOutUrl: '/',
    prefetchUI: false, // signing in with real Clerk happens on its own pages
  };
  if (!config.standIn) return options;
  const { Clerk } = await import('@clerk/clerk-js/no-rhc');
  const clerk = new Clerk(config.publishableKey, { proxyUrl: config.standIn.url });
  return { ...options, Clerk: clerk, telemetry: false };
}
