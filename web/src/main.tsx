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
 * clerkOptions returns the provider's props. With real Clerk, the provider loads
 * Clerk's JavaScript from Clerk. With the fake Clerk, the same JavaScript comes
 * from npm, in the build that loads no further code, and calls the fake Clerk
 * instead of the host that the publishable key names: nothing leaves this machine.
 */
async function clerkOptions(config: Config): Promise<Omit<ClerkProviderProps, 'children'>> {
  const options = {
    publishableKey: config.publishableKey,
    afterSignOutUrl: '/',
    prefetchUI: false, // signing in with real Clerk happens on its own pages
  };
  if (!config.fakeClerk) return options;
  const { Clerk } = await import('@clerk/clerk-js/no-rhc');
  const clerk = new Clerk(config.publishableKey, { proxyUrl: config.fakeClerk.url });
  return { ...options, Clerk: clerk, telemetry: false };
}
