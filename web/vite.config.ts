import react from '@vitejs/plugin-react';
import { defineConfig, loadEnv, type Plugin } from 'vite';

export default defineConfig(({ mode }) => ({
  plugins: [react(), pageConfig(loadEnv(mode, process.cwd()))],
  build: {
    // Clerk's JavaScript, which only the stand-in has the build serve, is one chunk of this size.
    chunkSizeWarningLimit: 1000,
  },
  server: {
    // While `go run ./cmd/dev` runs, its page's settings are these settings.
    proxy: { '/config.json': 'http://localhost:3001' },
  },
}));

/**
 * Writes config.json beside the page where the environment names a Clerk instance, so that the build can be
 * put on any static host. `go run ./cmd/dev` answers /config.json itself.
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
