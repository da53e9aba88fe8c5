/** NotConfigured is shown when /config.json names no Clerk application. */
export function NotConfigured() {
  return (
    <main className="page">
      <section className="card notice notice-bad" role="alert">
        <h1>This page is not set up yet</h1>
        <p>
          It found no publishable key of a Clerk application in <code>/config.json</code>. Set{' '}
          <code>VITE_CLERK_PUBLISHABLE_KEY</code> for <code>go run ./cmd/dev</code>, or for the build that you deploy.
        </p>
      </section>
    </main>
  );
}
