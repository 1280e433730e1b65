import { is } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { practise, practiseAll } from './practice.js';

const test = spec('practice of the translator');

test('what is translated before there is a guest is code like any other', () => {
  is(practise(), true);
  is(practiseAll(), true);
});

test.run();
