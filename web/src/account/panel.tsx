export { Settings as Panel } from './Settings';
