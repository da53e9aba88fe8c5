import react from '@vitejs/plugin-react';
import { defineConfig, loadEnv, type Plugin } from 'vite';

export default defineConfig(({ mode }) => ({
  plugins: [react(), pageConfig(loadEnv(mode, process.cwd()))],
  build: {
    // Clerk's JavaScript is one chunk of this size. The page loads it only with the fake Clerk.
    chunkSizeWarningLimit: 1000,
  },
  server: {
    // The settings of the running `go run ./cmd/dev`.
    proxy: { '/config.json': 'http://localhost:3001' },
  },
}));

/**
 * pageConfig writes config.json beside the page if the environment names a Clerk
 * instance, so that any static host can serve the build. `go run ./cmd/dev`
 * serves a /config.json of its own.
 */
function pageConfig(env: Record<string, string>): Plugin {
  return {
    name: 'page-config',
    apply: 'build',
    generateBundle() {
      const publishableKey = env.VITE_CLERK_PUBLISHABLE_KEY;
      if (!publishableKey) return;
      const source = JSON.stringify({ publishableKey, apiUrl: env.VITE_API_URL ?? 'http://localhost:4000' }, null, 2);
      this.emitFile({ type: 'asset', fileName: 'config.json', source });
    },
  };
}
